"""The view of one organisation for a terminal; pure, from the API's JSON to something to print."""

from __future__ import annotations

from collections.abc import Iterator

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from customeros.ops import state_tables
from customeros.ops.state_tables import Json, many, minute, table
from customeros.ops.terminal import printable

_MEMBER_ROWS = 15


def account_view(account: Json) -> RenderableType:
    """Which, members, traits with source and time, money, orders, timeline."""
    return Group(
        Panel(_headline(account), title=_title(account), title_align="left", border_style="cyan"),
        table("Members", ("customer", "role", "since", "last seen", "source"), _members(account)),
        state_tables.traits(account),
        Columns([state_tables.money(account), state_tables.activity(account)], padding=(0, 3)),
        state_tables.things(account),
        state_tables.timeline(account),
    )


def _title(account: Json) -> Text:
    name = account["traits"].get("name", {"value": account["account_id"]})
    return Text(f" {printable(str(name['value']))} ", style="bold")


def _headline(account: Json) -> Text:
    subsidiaries = account["subsidiaries"]
    lines = [
        f"{account['account_id']}  {account['status']}, workspace {account['workspace']}",
        many(account["member_count"], "member"),
        *state_tables.counts(account),
    ]
    if account["parent"] is not None:
        lines.append(f"belongs to {account['parent']}")
    if subsidiaries:
        rest = account["subsidiary_count"] - len(subsidiaries)
        more = f" and {rest:,} more" if rest else ""
        lines.append(f"has {', '.join(subsidiaries)}{more}")
    return Text("\n".join(map(printable, lines)))


def _members(account: Json) -> Iterator[tuple[str, ...]]:
    shown = account["members"][:_MEMBER_ROWS]
    for member in shown:
        yield (
            member["customer_id"],
            member["role"] or "",
            minute(member["since"]),
            minute(member["last_seen_at"]),
            member["source"],
        )
    rest = account["member_count"] - len(shown)
    if rest > 0:
        yield f"and {rest:,} more", "", "", "", ""
