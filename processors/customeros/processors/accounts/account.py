"""The state of an organisation, from what its identifiers say and who names it as parent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from customeros.processors.accounts.total import MemberMark, Total
from customeros.processors.profile.bounds import fitted_profile
from customeros.processors.profile.entries import Listed
from customeros.processors.profile.shown import known_traits, metrics_of, sealed
from customeros.schemas.account import AccountMember, AccountState, AccountStatus

SUBSIDIARIES: Final = 50
PROFILE_BYTES: Final = 64 * 1024  # the rest of a state has 100 kB at most


def account_state(
    workspace: str,
    account_id: str,
    total: Total,
    *,
    children: Iterable[str] = (),
    child_count: int = 0,
) -> Listed[AccountState]:
    """
    The state of version 0, with its digest.

    It is deleted while the newest event that names it is the one that says so; then it says
    nothing else.

    Args:
        children: accounts whose parent it is, the first by id; `child_count` of all.
    """
    if is_closed(total):
        return sealed(
            AccountState(
                workspace=workspace,
                account_id=account_id,
                version=0,
                status=AccountStatus.DELETED,
            )
        )
    profile = fitted_profile(total.profile, max_bytes=PROFILE_BYTES)
    return sealed(
        AccountState(
            workspace=workspace,
            account_id=account_id,
            version=0,
            parent=parent_of(account_id, total),
            subsidiaries=tuple(children),
            subsidiary_count=child_count,
            members=tuple(map(_member, total.members)),
            member_count=total.member_count,
            traits=known_traits(profile),
            metrics=metrics_of(profile),
        ),
        profile.things,
        total.timeline,
    )


def is_closed(total: Total) -> bool:
    """Whether nothing has been heard of the organisation since it was said to be gone."""
    last_at = total.profile.last_at
    return total.closed is not None and (last_at is None or total.closed.occurred_at >= last_at)


def parent_of(account_id: str, total: Total) -> str | None:
    """The account that it belongs to; nobody's parent is itself, and what is gone has none."""
    if total.parent is None or is_closed(total):
        return None
    named = total.parent.value
    return named if named and named != account_id else None


def _member(mark: MemberMark) -> AccountMember:
    return AccountMember(
        customer_id=mark.customer_id,
        role=mark.role.name if mark.role else None,
        since=mark.since,
        last_seen_at=mark.last_at,
        source=mark.said.source,
        event_id=mark.said.event_id,
    )
