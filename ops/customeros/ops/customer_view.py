"""The 360° view of one customer for a terminal; pure, from the API's JSON to something to print."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from customeros.connectors.segment.money import exponent
from customeros.ops.terminal import printable

_TIMELINE_ROWS = 15
_THINGS_ROWS = 10
_NAME_TRAITS = ("name", "firstName", "first_name", "email")
_BAR_CHARACTERS = 24

Json = Mapping[str, Any]


def customer_view(customer: Json) -> RenderableType:
    """Who, identifiers, traits with source and time, money, conversations, timeline."""
    return Group(
        Panel(_headline(customer), title=_title(customer), title_align="left", border_style="cyan"),
        _table(
            "Identifiers",
            ("type", "value", "first seen", "last seen", "source"),
            _identifiers(customer),
        ),
        _table("Traits", ("trait", "value", "from", "at", "event"), _traits(customer)),
        Columns(
            [
                _table("Money", ("", "amount", "currency"), _money(customer)),
                _table("Consent", ("purpose", "", "at", "source"), _consent(customer)),
                _table("Activity", ("family", "events", ""), _activity(customer)),
            ],
            padding=(0, 3),
        ),
        _table("Orders and conversations", ("", "ref", "state", "amount", "at"), _things(customer)),
        _table("Timeline", ("when", "what", "family", "source"), _timeline(customer)),
    )


def _title(customer: Json) -> Text:
    traits = customer["traits"]
    name = next((str(traits[n]["value"]) for n in _NAME_TRAITS if n in traits), "somebody")
    return Text(f" {printable(name)} ", style="bold")


def _headline(customer: Json) -> Text:
    metrics = customer["metrics"]
    lines = [
        f"{customer['customer_id']}  {customer['status']}, workspace {customer['workspace']}",
        f"{_many(metrics['events'], 'event')}, {_day(metrics['first_seen_at'])}"
        f" to {_day(metrics['last_seen_at'])}; "
        f"{_many(metrics['orders'], 'order')}, {_many(metrics['refunds'], 'refund')}; "
        f"{_many(metrics['messages_in'], 'message')} received, {metrics['messages_out']} sent",
    ]
    windows = metrics.get("windows", {})
    lines += [_window(name, window) for name, window in windows.items() if window["events"]]
    for when, touch in (("first", customer["first_touch"]), ("last", customer["last_touch"])):
        if touch:
            values = ", ".join(f"{n} {v}" for n, v in sorted(touch["values"].items()))
            lines.append(f"{when} touch {_day(touch['occurred_at'])}: {values}")
    if "merged_from" in customer:
        lines.append(f"asked for as {customer['merged_from']}, which was merged into this one")
    return Text("\n".join(map(printable, lines)))


def _window(name: str, window: Json) -> str:
    placed = ", ".join(f"{amount_text(a, c)} {c}" for c, a in sorted(window["placed"].items()))
    counts = f"last {name}: {_many(window['events'], 'event')}, {_many(window['orders'], 'order')}"
    return f"{counts} of {placed}" if placed else counts


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def _table(title: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> RenderableType:
    found = list(rows)
    if not found:
        return Text("")
    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False)
    for row in found:
        table.add_row(*(escape(printable(cell)) for cell in row))
    return Group(table, Text(""))


def _identifiers(customer: Json) -> Iterator[tuple[str, ...]]:
    for found in customer["identifiers"]:
        value = found["value"] if found["value"] is not None else f"({found['key']})"
        yield (
            found["type"],
            value,
            _minute(found["first_seen_at"]),
            _minute(found["last_seen_at"]),
            found["source"],
        )


def _traits(customer: Json) -> Iterator[tuple[str, ...]]:
    for name, trait in sorted(customer["traits"].items()):
        value = trait["value"]
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield name, text, trait["source"], _minute(trait["occurred_at"]), trait["event_id"][:24]


def _money(customer: Json) -> Iterator[tuple[str, ...]]:
    for currency, totals in sorted(customer["metrics"]["money"].items()):
        for what in ("placed", "refunded", "cancelled"):
            if totals[what]:
                yield what, amount_text(totals[what], currency), currency


def _consent(customer: Json) -> Iterator[tuple[str, ...]]:
    for purpose, decision in sorted(customer["consent"].items()):
        yield (
            purpose,
            "granted" if decision["granted"] else "refused",
            _minute(decision["occurred_at"]),
            decision["source"],
        )


def _activity(customer: Json) -> Iterator[tuple[str, ...]]:
    counts = customer["metrics"]["by_family"]
    most = max(counts.values(), default=1)
    for family, count in sorted(counts.items(), key=lambda item: -item[1]):
        yield family, str(count), "█" * max(1, round(_BAR_CHARACTERS * count / most))


def _things(customer: Json) -> Iterator[tuple[str, ...]]:
    for thing in customer["things"][:_THINGS_ROWS]:
        amount = thing.get("amount")
        shown = (
            ""
            if amount is None
            else f"{amount_text(amount, thing['currency'])} {thing['currency']}"
        )
        yield thing["kind"], thing["ref"], thing["state"], shown, _minute(thing["occurred_at"])
    rest = len(customer["things"]) - _THINGS_ROWS
    if rest > 0:
        yield "…", f"and {rest} more", "", "", ""


def _timeline(customer: Json) -> Iterator[tuple[str, ...]]:
    for entry in customer["timeline"][:_TIMELINE_ROWS]:
        what = entry["name"] + (f" ({entry['ref']})" if entry["ref"] else "")
        yield _minute(entry["occurred_at"]), what, entry["family"], entry["source"]
    rest = customer["metrics"]["events"] - _TIMELINE_ROWS
    if rest > 0:
        yield "…", f"and {rest} earlier", "", ""


def amount_text(amount: int, currency: str) -> str:
    """Minor units as people write them: 3995 EUR is 39.95, 500 JPY is 500."""
    digits = exponent(currency)
    sign, minor = "-" if amount < 0 else "", abs(amount)
    if not digits:
        return f"{sign}{minor:,}"
    whole, rest = divmod(minor, 10**digits)
    return f"{sign}{whole:,}.{rest:0{digits}}"


def _minute(time: str | None) -> str:
    return time[:16].replace("T", " ") if time else ""


def _day(time: str | None) -> str:
    return time[:10] if time else "never"
