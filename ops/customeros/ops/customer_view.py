"""The 360° view of one customer for a terminal; pure, from the API's JSON to something to print."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from customeros.ops import state_tables
from customeros.ops.state_tables import Json, day, minute, table
from customeros.ops.terminal import printable

# What a customer is called, the first of which all is known.
_CALLED: Final = (
    ("name",),
    ("firstName", "lastName"),
    ("first_name", "last_name"),
    ("firstName",),
    ("first_name",),
    ("email",),
)


def customer_view(customer: Json) -> RenderableType:
    """Who, identifiers, organisations, traits with source and time, money, timeline."""
    return Group(
        Panel(_headline(customer), title=_title(customer), title_align="left", border_style="cyan"),
        table(
            "Identifiers",
            ("type", "value", "first seen", "last seen", "source"),
            _identifiers(customer),
        ),
        table("Organisations", ("id", "role", "since", "last seen"), _accounts(customer)),
        state_tables.traits(customer),
        Columns(
            [
                state_tables.money(customer),
                table("Consent", ("purpose", "", "at", "source"), _consent(customer)),
                state_tables.activity(customer),
            ],
            padding=(0, 3),
        ),
        state_tables.things(customer),
        state_tables.timeline(customer),
    )


def _title(customer: Json) -> Text:
    traits = customer["traits"]
    known = next((names for names in _CALLED if all(name in traits for name in names)), ())
    name = " ".join(str(traits[name]["value"]) for name in known) or "somebody"
    return Text(f" {printable(name)} ", style="bold")


def _headline(customer: Json) -> Text:
    lines = [
        f"{customer['customer_id']}  {customer['status']}, workspace {customer['workspace']}",
        *state_tables.counts(customer),
    ]
    for when, touch in (("first", customer["first_touch"]), ("last", customer["last_touch"])):
        if touch:
            values = ", ".join(f"{n} {v}" for n, v in sorted(touch["values"].items()))
            lines.append(f"{when} touch {day(touch['occurred_at'])}: {values}")
    if "merged_from" in customer:
        lines.append(f"asked for as {customer['merged_from']}, which was merged into this one")
    return Text("\n".join(map(printable, lines)))


def _identifiers(customer: Json) -> Iterator[tuple[str, ...]]:
    for found in customer["identifiers"]:
        value = found["value"] if found["value"] is not None else f"({found['key']})"
        yield (
            found["type"],
            value,
            minute(found["first_seen_at"]),
            minute(found["last_seen_at"]),
            found["source"],
        )


def _accounts(customer: Json) -> Iterator[tuple[str, ...]]:
    for account, found in customer["accounts"].items():
        yield account, found["role"] or "", minute(found["since"]), minute(found["last_seen_at"])


def _consent(customer: Json) -> Iterator[tuple[str, ...]]:
    for purpose, decision in sorted(customer["consent"].items()):
        yield (
            purpose,
            "granted" if decision["granted"] else "refused",
            minute(decision["occurred_at"]),
            decision["source"],
        )
