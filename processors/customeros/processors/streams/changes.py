"""What the customers of an identifier are told when it learns something or moves."""

from __future__ import annotations

import msgspec

from customeros.processors.profile.bounds import CONTRIBUTION_BYTES, fitted
from customeros.processors.profile.model import (
    Change,
    Contribution,
    Profile,
    as_sent,
    encode_change,
)
from customeros.processors.streams.identifier import Known, contribution_of
from customeros.processors.streams.written import PROFILE_BYTES
from customeros.runtime.stream import Output
from customeros.schemas.identifier import IdentifierKey, customer_id
from customeros.schemas.identity import Assignment
from customeros.schemas.topics import CONTRIBUTIONS, topic_key


def contributed(workspace: str, nid: str, known: Known) -> tuple[Known, list[Output]]:
    """The record after telling its customer what it brings from now on; and the telling."""
    contribution = contribution_of(known)
    if contribution is None:
        return known, []
    known = msgspec.structs.replace(known, sequence=known.sequence + 1)
    return known, [_change(workspace, nid, known, contribution=contribution)]


def moved(
    workspace: str, nid: str, known: Known, assignment: Assignment
) -> tuple[Known, list[Output]]:
    """
    The record after *assignment*, which is newer than what it holds; and who is told.

    The gain goes out before the loss. The customer that has its id from this identifier is told
    where it went each time, so that a merged customer points to a live one in one hop.
    """
    own = customer_id(workspace, IdentifierKey(nid), known.epoch)
    former = {known.customer_id: None, own: None}
    erased = assignment.epoch > known.epoch
    known = msgspec.structs.replace(
        forgotten(known, assignment) if erased else known,
        customer_id=assignment.customer_id,
        assignment_version=assignment.version,
        limit=assignment.limit,
    )
    outputs: list[Output] = []
    if not erased:
        known, outputs = contributed(workspace, nid, known)
    moved_to = None if erased else known.customer_id
    for customer in former:
        if customer != known.customer_id:
            known = msgspec.structs.replace(known, sequence=known.sequence + 1)
            outputs.append(_change(workspace, nid, known, left=customer, moved_to=moved_to))
    return known, outputs


def forgotten(known: Known, assignment: Assignment) -> Known:
    """The record of an identifier that was erased when *assignment* was made."""
    return Known(
        type=known.type,
        customer_id=assignment.customer_id,
        epoch=assignment.epoch,
        erased_at=assignment.version,
        sequence=known.sequence,
        limit=assignment.limit,
    )


def _change(
    workspace: str,
    nid: str,
    known: Known,
    *,
    contribution: Contribution[Profile] | None = None,
    left: str | None = None,
    moved_to: str | None = None,
) -> Output:
    customer = left or known.customer_id
    written = None
    if contribution is not None:
        written = as_sent(contribution, PROFILE_BYTES.told(contribution.profile))
    change = Change(
        workspace,
        customer,
        nid,
        known.epoch,
        known.assignment_version,
        known.sequence,
        written,
        moved_to,
        known.limit,
    )
    value = encode_change(change)
    if contribution is not None and len(value) > CONTRIBUTION_BYTES:
        smaller = as_sent(fitted(contribution))
        value = encode_change(msgspec.structs.replace(change, contribution=smaller))
    return Output(CONTRIBUTIONS, topic_key(workspace, customer), value)
