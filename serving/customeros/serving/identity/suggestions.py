"""Answers which customers may be one person though no evidence joins them."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import anyio
import msgspec
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from customeros.processors.identity.why import parting, uniting
from customeros.processors.suggestions.suggestion import Rank, Suggestion, rank
from customeros.schemas.customer import CustomerState, KnownIdentifier
from customeros.serving.answers import Refused, answer
from customeros.serving.customers import try_again
from customeros.serving.identity.comparing import is_compared
from customeros.serving.identity.comparisons import Comparison
from customeros.serving.identity.inquiry import Door, Inquiry
from customeros.serving.identity.words import apart
from customeros.serving.paging import read_limit
from customeros.serving.render import time_text

MAX_SUGGESTIONS: Final = 500
_PATIENCE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.05
_SHOWN_IDENTIFIERS: Final = 5
_NAMES: Final = (("name",), ("fullName",), ("firstName", "lastName"), ("first_name", "last_name"))


class SuggestionAnswers:
    """What was compared, less what has been decided since."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._customers = door.know.customers
        self._comparisons = door.know.comparisons

    async def __call__(self, request: Request) -> Response:
        """`GET /v1/identity/suggestions`."""
        asked = self._door.enter(request)
        limit = read_limit(request, usual=50, most=MAX_SUGGESTIONS)
        after = _read_after(request.query_params.get("after"))
        made = await self._comparison(asked, _read_as_of(request.query_params.get("as_of")))
        shown = self._shown(asked, made.found.suggestions, after)
        # One more than asked for tells whether there is another page.
        page = await run_sync(lambda: list(islice(shown, limit + 1)))
        return answer(
            {
                "as_of": time_text(made.as_of),
                "customers": made.found.customers,
                "suggestions": [told for _, told in page[:limit]],
                "next": _after_text(page[limit - 1][0]) if len(page) > limit else None,
            }
        )

    async def _comparison(self, asked: Inquiry, as_of: int | None) -> Comparison:
        """The newest, made anew where it is older than *as_of*, or by itself too old."""
        made, workspace = self._comparisons, asked.workspace.name
        last = made.last(workspace)
        # Who does not say how new it must be need not wait for a long one.
        patience = _PATIENCE_SECONDS
        if as_of is None and last is not None and last.seconds > _PATIENCE_SECONDS:
            patience = 0.0
        with anyio.move_on_after(patience):
            while not _serves(last, as_of, made.now()):
                made.begin(workspace, asked.workspace.suggestions_consent)
                await anyio.sleep(_LOOK_SECONDS)
                last = made.last(workspace)
        if last is None or (as_of is not None and last.as_of < as_of):
            raise try_again("comparing", "the customers are being compared; try again")
        return last

    def _shown(
        self, asked: Inquiry, found: Sequence[Suggestion], after: Rank | None
    ) -> Iterator[tuple[Suggestion, dict[str, Any]]]:
        start = 0 if after is None else bisect_right(found, after, key=rank)
        for one in islice(found, start, None):
            a, b = self._state(asked, one.a), self._state(asked, one.b)
            if a is None or b is None:
                continue
            left, right = _own(asked, a), _own(asked, b)
            if parting(asked.graph, left, right):
                continue
            types = {known.key: known.type for known in (*a.identifiers, *b.identifiers)}
            forbidden = uniting(asked.graph, left, right, types, asked.rules)
            yield (
                one,
                {
                    "a": _short(a),
                    "b": _short(b),
                    "probability": round(one.probability, 6),
                    "first": one.first,
                    "reasons": one.reasons,
                    "forbidden": None if forbidden is None else apart(forbidden),
                },
            )

    def _state(self, asked: Inquiry, customer_id: str) -> CustomerState | None:
        """Of the customer of this very id who is still to be compared."""
        found = self._customers.by_id(asked.workspace.name, customer_id)
        if found is None or found.merged_from is not None:
            return None
        return (
            found.state if is_compared(found.state, asked.workspace.suggestions_consent) else None
        )


def _serves(last: Comparison | None, as_of: int | None, now: int) -> bool:
    if last is None:
        return False
    return last.fresh(now) if as_of is None else last.as_of >= as_of


def _own(asked: Inquiry, state: CustomerState) -> list[str]:
    """Keys of those that an assignment has not taken elsewhere."""
    keys = (known.key for known in state.identifiers)
    return [key for key in keys if asked.graph.customer(key) == state.customer_id]


def _short(state: CustomerState) -> dict[str, Any]:
    metrics = state.metrics
    return {
        "customer_id": state.customer_id,
        "name": _name(state),
        "identifiers": [_written(known) for known in state.identifiers[:_SHOWN_IDENTIFIERS]],
        "first_seen_at": metrics.first_seen_at and time_text(metrics.first_seen_at),
        "last_seen_at": metrics.last_seen_at and time_text(metrics.last_seen_at),
        "events": metrics.events,
        "orders": metrics.orders,
    }


def _written(known: KnownIdentifier) -> str:
    return f"({known.key})" if known.value is None else f"{known.type}:{known.value}"


def _name(state: CustomerState) -> str | None:
    for traits in _NAMES:
        said = (msgspec.json.decode(state.traits[n].value) for n in traits if n in state.traits)
        words = [word for word in said if isinstance(word, str) and word]
        if words:
            return " ".join(words)
    return None


def _after_text(one: Suggestion) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(rank(one))).decode().rstrip("=")


def _read_after(text: str | None) -> Rank | None:
    if text is None:
        return None
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        found: Rank = msgspec.json.decode(data, type=Rank)
        return found
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise Refused(400, "malformed_after", "after is the `next` of an answer") from None


def _read_as_of(text: str | None) -> int | None:
    """The time in ms."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(400, "malformed_as_of", "as_of is a time in ISO 8601") from None
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)
