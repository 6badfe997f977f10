"""Answers about organisations: `/v1/accounts/ID`, `…/members`, `…/subsidiaries`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

import msgspec
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from customeros.schemas.account import AccountStatus
from customeros.schemas.codec import ACCOUNT_STATE
from customeros.schemas.topics import topic_key
from customeros.sdk.lookup import Copy
from customeros.serving import render
from customeros.serving.answers import Refused, answer
from customeros.serving.clickhouse import ClickHouseReader
from customeros.serving.customers import CustomerAnswers, try_again
from customeros.serving.paging import read_limit

PREFIX: Final = b"/v1/accounts/"

_MEMBERS: Final = """
SELECT customer_id, name, email, role,
       toUnixTimestamp64Milli(since) AS since_ms,
       toUnixTimestamp64Milli(last_seen_at) AS last_seen_ms
FROM account_members
WHERE workspace = {workspace:String} AND account_id = {account:String}
  AND customer_id > {after:String}
ORDER BY customer_id
LIMIT {limit:UInt32}
"""
_SUBSIDIARIES: Final = """
SELECT account_id, name, member_count
FROM accounts
WHERE workspace = {workspace:String} AND parent = {account:String} AND account_id > {after:String}
ORDER BY account_id
LIMIT {limit:UInt32}
"""


class Lists(Protocol):
    """Where all members and all subsidiaries are, each ascending by id; both block."""

    def members(
        self, workspace: str, account: str, after: str, *, limit: int
    ) -> list[render.Row]: ...

    def subsidiaries(
        self, workspace: str, account: str, after: str, *, limit: int
    ) -> list[render.Row]: ...


class ClickHouseLists(ClickHouseReader):
    """Members and subsidiaries in ClickHouse; raises Unavailable: try again."""

    def members(self, workspace: str, account: str, after: str, *, limit: int) -> list[render.Row]:
        return self._after(_MEMBERS, workspace, account, after=after, limit=limit)

    def subsidiaries(
        self, workspace: str, account: str, after: str, *, limit: int
    ) -> list[render.Row]:
        return self._after(_SUBSIDIARIES, workspace, account, after=after, limit=limit)

    def _after(
        self, query: str, workspace: str, account: str, *, after: str, limit: int
    ) -> list[render.Row]:
        asked = {"workspace": workspace, "account": account, "after": after, "limit": limit}
        return self.rows(query, asked)


class AccountKnowledge(NamedTuple):
    """
    What the answers come from.

    Args:
        accounts: values of `account-state` by key; `ready`: it holds all there is.
    """

    accounts: Copy
    lists: Lists
    ready: Callable[[], bool]
    today: Callable[[], date]


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first fields of an `AccountState`."""

    workspace: str
    account_id: str
    version: int
    status: AccountStatus


_read_head: Final = ACCOUNT_STATE.head(_Head)


class AccountAnswers:
    """The endpoint of the three paths."""

    def __init__(self, door: CustomerAnswers, knowledge: AccountKnowledge) -> None:
        self._door = door
        self._know = knowledge

    async def __call__(self, request: Request) -> Response:
        self._door.authenticate(request)
        workspace = self._door.workspace(request).name
        account, listed = _asked(request.scope["raw_path"])
        record = self._find(workspace, account)
        if listed is None:
            return answer(render.account(record, today=self._know.today()))
        limit = read_limit(request)
        after = request.query_params.get("after", "")
        ask = self._know.lists.members if listed == "members" else self._know.lists.subsidiaries

        def read() -> list[render.Row]:
            # One more than asked for tells whether there is another page.
            return ask(workspace, account, after, limit=limit + 1)

        rows = await run_sync(read)
        found = [_LISTED[listed](row) for row in rows[:limit]]
        last = found[-1]["customer_id" if listed == "members" else "account_id"] if found else None
        return answer(
            {
                "account_id": account,
                listed: found,
                "next": last if len(rows) > limit else None,
            }
        )

    def _find(self, workspace: str, account: str) -> bytes:
        if not self._know.ready():
            raise try_again("not_ready", "the organisations are still being read; try again")
        raw = self._know.accounts.get(topic_key(workspace, account))
        if raw is None:
            raise Refused(404, "unknown_account", "no organisation is known by this")
        if _read_head(raw).status is AccountStatus.DELETED:
            raise Refused(410, "deleted", "this organisation was deleted")
        return raw


def _asked(raw_path: bytes) -> tuple[str, str | None]:
    """
    The organisation, and the list of it that is asked for.

    The path comes as it was sent: a slash within an id is written `%2F` and separates nothing.
    """
    match raw_path.removeprefix(PREFIX).split(b"/"):
        case [account]:
            return _text(account), None
        case [account, (b"members" | b"subsidiaries") as listed]:
            return _text(account), listed.decode()
        case _:
            raise Refused(404, "no_such_path", "ask for /v1/accounts/ID, …/members, …/subsidiaries")


def _text(segment: bytes) -> str:
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise Refused(400, "malformed_account", "the path is not UTF-8") from None


def _member(row: render.Row) -> dict[str, Any]:
    return {
        "customer_id": row["customer_id"],
        "name": row["name"] or None,
        "email": row["email"] or None,
        "role": row["role"],
        "since": render.time_text(row["since_ms"]),
        "last_seen_at": render.time_text(row["last_seen_ms"]),
    }


def _subsidiary(row: render.Row) -> dict[str, Any]:
    return {
        "account_id": row["account_id"],
        "name": row["name"] or None,
        "member_count": row["member_count"],
    }


_LISTED: Final[Mapping[str, Callable[[render.Row], dict[str, Any]]]] = {
    "members": _member,
    "subsidiaries": _subsidiary,
}
