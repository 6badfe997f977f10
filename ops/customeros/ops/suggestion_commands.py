"""Which customers may be one person though no evidence joins them: `identity suggestions`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from customeros.ops.terminal import printable
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Settings, read_settings
from customeros.runtime.topics import prefixed
from customeros.schemas.codec import CUSTOMER_STATE
from customeros.schemas.customer import CustomerState, Status
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from customeros.sdk import LiveCopy

if TYPE_CHECKING:  # when asked: an installation that runs no processors has no string metrics
    from customeros.processors.suggestions.record import Record
    from customeros.processors.suggestions.suggest import Suggestion

_READ_SECONDS: Final = 600.0


def register(identity: typer.Typer) -> None:
    """Put the command under the command *identity*."""
    identity.command("suggestions")(show_suggestions)


def show_suggestions(
    limit: Annotated[int, typer.Option(min=1, help="How many, the surest first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """
    Customers that may be one person, the surest first, and why.

    Nothing is changed: `customeros join A B --why TEXT` accepts one.
    """
    found = list(suggestions(read_states(read_settings())))[:limit]
    if as_json:
        typer.echo(json.dumps([one._asdict() for one in found], indent=1, ensure_ascii=False))
        return
    for one in found:
        sure = "sure" if one.first else "maybe"
        typer.echo(f"{one.a} {one.b}  {sure} {one.probability:.3f}")
        typer.echo(printable(f"  {'; '.join(one.reasons)}"))
    if not found:
        typer.echo("no suggestions")


def suggestions(states: Iterable[CustomerState]) -> Iterator[Suggestion]:
    """Of active customers, each workspace by itself; workspaces in order of their names."""
    from customeros.processors.suggestions.suggest import suggest

    people: dict[str, list[Record]] = defaultdict(list)
    for state in states:
        if state.status is Status.ACTIVE:
            people[state.workspace].append(record_of_customer(state))
    for _, records in sorted(people.items()):
        yield from suggest(records)


def record_of_customer(state: CustomerState) -> Record:
    """Its traits, and its e-mail addresses and phone numbers as identifiers."""
    from customeros.processors.suggestions.record import record_of_traits

    traits: dict[str, Any] = {name: json.loads(t.value) for name, t in state.traits.items()}
    values: dict[str, list[str]] = defaultdict(list)
    for one in state.identifiers:
        if one.value is not None:
            values[one.type].append(one.value)
    return record_of_traits(
        state.customer_id, traits, emails=values["email"], phones=values["phone"]
    )


def read_states(settings: Settings) -> list[CustomerState]:
    """
    All that `customer-state` holds now.

    Raises:
        Unavailable: the broker does not answer.
    """
    topic = prefixed(settings, CUSTOMER_STATE_TOPIC)
    with LiveCopy(topic, settings.kafka_client) as copy:
        if not copy.wait_ready(_READ_SECONDS):
            raise Unavailable("kafka")
        values = [copy.get(key) for key in copy]
    return [CUSTOMER_STATE.decode(value) for value in values if value is not None]
