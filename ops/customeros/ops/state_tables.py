"""What the API says of a customer or an organisation, as lines and tables for a terminal; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from customeros.connectors.segment.money import exponent
from customeros.ops.terminal import printable

_TIMELINE_ROWS = 15
_THINGS_ROWS = 10
_BAR_CHARACTERS = 24

Json = Mapping[str, Any]


def table(title: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> RenderableType:
    """The rows under their title; nothing where there are none."""
    found = list(rows)
    if not found:
        return Text("")
    shown = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False)
    for row in found:
        shown.add_row(*(escape(printable(cell)) for cell in row))
    return Group(shown, Text(""))


def counts(state: Json) -> list[str]:
    """How much happened, in all and of late."""
    metrics = state["metrics"]
    return [
        f"{many(metrics['events'], 'event')}, {day(metrics['first_seen_at'])}"
        f" to {day(metrics['last_seen_at'])}; "
        f"{many(metrics['orders'], 'order')}, {many(metrics['refunds'], 'refund')}; "
        f"{many(metrics['messages_in'], 'message')} received, {metrics['messages_out']} sent",
        *(
            _window(name, window)
            for name, window in metrics.get("windows", {}).items()
            if window["events"]
        ),
    ]


def traits(state: Json) -> RenderableType:
    """Each with where it comes from."""
    return table("Traits", ("trait", "value", "from", "at", "event"), _traits(state))


def money(state: Json) -> RenderableType:
    """By currency."""
    return table("Money", ("", "amount", "currency"), _money(state))


def activity(state: Json) -> RenderableType:
    """Events by family, as bars."""
    return table("Activity", ("family", "events", ""), _activity(state))


def things(state: Json) -> RenderableType:
    """The newest orders and conversations."""
    return table("Orders and conversations", ("", "ref", "state", "amount", "at"), _things(state))


def timeline(state: Json) -> RenderableType:
    """The newest events."""
    return table("Timeline", ("when", "what", "family", "source"), _timeline(state))


def many(count: int, thing: str) -> str:
    """`1 event`, `1,000 events`."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def amount_text(amount: int, currency: str) -> str:
    """Minor units as people write them: 3995 EUR is 39.95, 500 JPY is 500."""
    digits = exponent(currency)
    sign, minor = "-" if amount < 0 else "", abs(amount)
    if not digits:
        return f"{sign}{minor:,}"
    whole, rest = divmod(minor, 10**digits)
    return f"{sign}{whole:,}.{rest:0{digits}}"


def minute(time: str | None) -> str:
    """A time as people read it; empty where there is none."""
    return time[:16].replace("T", " ") if time else ""


def day(time: str | None) -> str:
    """The day of a time."""
    return time[:10] if time else "never"


def _window(name: str, window: Json) -> str:
    placed = ", ".join(f"{amount_text(a, c)} {c}" for c, a in sorted(window["placed"].items()))
    told = f"last {name}: {many(window['events'], 'event')}, {many(window['orders'], 'order')}"
    return f"{told} of {placed}" if placed else told


def _traits(state: Json) -> Iterator[tuple[str, ...]]:
    for name, trait in sorted(state["traits"].items()):
        value = trait["value"]
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield name, text, trait["source"], minute(trait["occurred_at"]), trait["event_id"][:24]


def _money(state: Json) -> Iterator[tuple[str, ...]]:
    for currency, totals in sorted(state["metrics"]["money"].items()):
        for what in ("placed", "refunded", "cancelled"):
            if totals[what]:
                yield what, amount_text(totals[what], currency), currency


def _activity(state: Json) -> Iterator[tuple[str, ...]]:
    by_family = state["metrics"]["by_family"]
    most = max(by_family.values(), default=1)
    for family, count in sorted(by_family.items(), key=lambda item: -item[1]):
        yield family, str(count), "█" * max(1, round(_BAR_CHARACTERS * count / most))


def _things(state: Json) -> Iterator[tuple[str, ...]]:
    for thing in state["things"][:_THINGS_ROWS]:
        amount = thing.get("amount")
        shown = (
            ""
            if amount is None
            else f"{amount_text(amount, thing['currency'])} {thing['currency']}"
        )
        yield thing["kind"], thing["ref"], thing["state"], shown, minute(thing["occurred_at"])
    rest = len(state["things"]) - _THINGS_ROWS
    if rest > 0:
        yield "…", f"and {rest} more", "", "", ""


def _timeline(state: Json) -> Iterator[tuple[str, ...]]:
    for entry in state["timeline"][:_TIMELINE_ROWS]:
        what = entry["name"] + (f" ({entry['ref']})" if entry["ref"] else "")
        yield minute(entry["occurred_at"]), what, entry["family"], entry["source"]
    rest = state["metrics"]["events"] - _TIMELINE_ROWS
    if rest > 0:
        yield "…", f"and {rest} earlier", "", ""
