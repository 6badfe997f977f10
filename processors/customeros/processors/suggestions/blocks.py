"""Which pairs are worth a comparison, at a cost that grows with the records, not their square."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

from customeros.processors.suggestions.compare import PHONE_OWN_DIGITS, email_local
from customeros.processors.suggestions.names import sound
from customeros.processors.suggestions.record import Record

# A fuller block compares each record with its next neighbours only, by name and birth date.
FULL_BLOCK: Final = 40
NEIGHBOURS: Final = 8


def candidates(records: Sequence[Record]) -> Iterator[tuple[int, int]]:
    """Pairs of places in `records`, each once, the smaller place first, in no set order."""
    blocks: dict[str, list[int]] = defaultdict(list)
    for place, record in enumerate(records):
        for key in set(keys(record)):
            blocks[key].append(place)
    seen: set[int] = set()
    size = len(records)
    for members in blocks.values():
        reach = len(members) if len(members) <= FULL_BLOCK else NEIGHBOURS
        if len(members) > FULL_BLOCK:
            members.sort(key=lambda place: (records[place].whole, place))
        for at, one in enumerate(members):
            for other in members[at + 1 : at + 1 + reach]:
                low, high = (one, other) if one < other else (other, one)
                code = low * size + high
                if code not in seen:
                    seen.add(code)
                    yield low, high


def keys(record: Record) -> Iterator[str]:
    """The blocks that a record is in; two records are compared when they share one."""
    values = record.values
    given = [name.split()[0] for name in values.get("given", ())]
    surnames = values.get("surname", ())
    for name in (*given, *surnames):
        yield from _of_name(name, record)
    for first, last in product(given, surnames):
        yield "n|" + "|".join(sorted((sound(first), sound(last))))
        yield "i|" + "|".join(sorted((first[:3], last[:3])))
    for date in values.get("born", ()):
        yield f"b|{date}"
    for street in values.get("street", ()):
        yield from (f"s|{number}|{street[:6]}" for number in values.get("number", ()))
        yield from (f"t|{place}|{street[:4]}" for place in values.get("postcode", ()))
    for address in values.get("email", ()):
        yield f"e|{email_local(address)}"
    for phone in values.get("phone", ()):
        yield f"h|{phone[-PHONE_OWN_DIGITS:]}"


def _of_name(name: str, record: Record) -> Iterator[str]:
    values = record.values
    heard = sound(name)
    for date in values.get("born", ()):
        yield f"y|{heard}|{date[:4]}"
        yield f"d|{heard}|{date[4:]}"
    yield from (f"p|{heard}|{postcode}" for postcode in values.get("postcode", ()))
    yield from (f"o|{heard}|{company[:8]}" for company in values.get("company", ()))
    yield from (f"c|{name[:4]}|{city[:5]}" for city in values.get("city", ()))
