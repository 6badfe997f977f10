"""Which pairs are worth a comparison, at a cost that grows with the records, not their square."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, product
from typing import Final, overload

from customeros.processors.suggestions.compare import PHONE_OWN_DIGITS, email_local
from customeros.processors.suggestions.names import sound
from customeros.processors.suggestions.record import Record, text_of

# A fuller block compares each record with its next neighbours only, by name and birth date.
FULL_BLOCK: Final = 40
NEIGHBOURS: Final = 8
# Comparisons that a record asks for, from the most to the least: of more than `ROOMY` records each
# asks for fewer, so that a record costs the same in a large workspace as in a small one.
MOST: Final = 40
LEAST: Final = 12
ROOMY: Final = 20_000


class Pairs(Sequence[tuple[int, int]]):
    """Pairs of places in a list of `size` records, each once, the smaller place first, sorted."""

    def __init__(self, codes: array[int], size: int) -> None:
        self._codes = codes
        self._size = size

    def __len__(self) -> int:
        return len(self._codes)

    @overload
    def __getitem__(self, at: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, at: slice) -> Pairs: ...
    def __getitem__(self, at: int | slice) -> tuple[int, int] | Pairs:
        if isinstance(at, slice):
            return Pairs(self._codes[at], self._size)
        return divmod(self._codes[at], self._size)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        size = self._size
        return (divmod(code, size) for code in self._codes)


def candidates(records: Sequence[Record]) -> Pairs:
    """
    The pairs to compare.

    Smaller blocks come first, so where room is short, what many share is what goes.
    """
    size = len(records)
    room = array("b", [room_of(size)]) * size
    codes: set[int] = set()
    for members in sorted(_blocks(records), key=len):
        for one, other in _within(members, records):
            if room[one] or room[other]:
                code = one * size + other if one < other else other * size + one
                if code not in codes:
                    codes.add(code)
                    room[one] -= room[one] > 0
                    room[other] -= room[other] > 0
    return Pairs(array("Q", sorted(codes)), size)


def room_of(size: int) -> int:
    """Comparisons that each of *size* records asks for; no more than that are made for each."""
    return max(LEAST, min(MOST, MOST * ROOMY // max(size, 1)))


def _blocks(records: Sequence[Record]) -> Iterator[list[int]]:
    """Places of the records that share a key, two or more; one kind of key after the other."""
    for keys in KEYS:
        found: dict[str, int | list[int]] = {}
        for place, record in enumerate(records):
            for key in dict.fromkeys(keys(record)):
                known = found.setdefault(key, place)
                if isinstance(known, list):
                    known.append(place)
                elif known != place:
                    found[key] = [known, place]
        yield from (members for members in found.values() if isinstance(members, list))


def _within(members: list[int], records: Sequence[Record]) -> Iterator[tuple[int, int]]:
    if len(members) <= FULL_BLOCK:
        yield from combinations(members, 2)
        return
    members.sort(key=lambda place: (text_of(records[place]), place))
    for at, one in enumerate(members):
        for other in members[at + 1 : at + 1 + NEIGHBOURS]:
            yield one, other


def _by_birth_date(record: Record) -> Iterator[str]:
    yield from record.values.get("born", ())


def _by_mailbox(record: Record) -> Iterator[str]:
    yield from map(email_local, record.values.get("email", ()))


def _by_phone(record: Record) -> Iterator[str]:
    yield from (phone[-PHONE_OWN_DIGITS:] for phone in record.values.get("phone", ()))


def _by_street(record: Record) -> Iterator[str]:
    for street in record.values.get("street", ()):
        yield from (f"{n}|{street[:6]}" for n in record.values.get("number", ()))


def _by_postcode_and_street(record: Record) -> Iterator[str]:
    for street in record.values.get("street", ()):
        yield from (f"{place}|{street[:4]}" for place in record.values.get("postcode", ()))


def _by_name_and_birth(record: Record) -> Iterator[str]:
    for name, date in product(_names(record), record.values.get("born", ())):
        heard = sound(name)
        yield f"{heard}|{date[:4]}"
        yield f"{heard}||{date[4:]}"


def _by_name_and_postcode(record: Record) -> Iterator[str]:
    for name, postcode in product(_names(record), record.values.get("postcode", ())):
        yield f"{sound(name)}|{postcode}"


def _by_name_and_company(record: Record) -> Iterator[str]:
    for name, company in product(_names(record), record.values.get("company", ())):
        yield f"{sound(name)}|{company[:8]}"


def _by_both_names(record: Record) -> Iterator[str]:
    for first, last in product(_given(record), record.values.get("surname", ())):
        yield "|".join(sorted((sound(first), sound(last))))


def _by_initials(record: Record) -> Iterator[str]:
    for first, last in product(_given(record), record.values.get("surname", ())):
        yield "|".join(sorted((first[:3], last[:3])))


def _by_name_and_city(record: Record) -> Iterator[str]:
    for name, city in product(_names(record), record.values.get("city", ())):
        yield f"{name[:4]}|{city[:5]}"


def _given(record: Record) -> list[str]:
    return [name.split()[0] for name in record.values.get("given", ())]


def _names(record: Record) -> list[str]:
    return [*_given(record), *record.values.get("surname", ())]


KEYS: Final[Sequence[Callable[[Record], Iterator[str]]]] = (
    _by_birth_date,
    _by_mailbox,
    _by_phone,
    _by_street,
    _by_postcode_and_street,
    _by_name_and_birth,
    _by_name_and_postcode,
    _by_name_and_company,
    _by_both_names,
    _by_initials,
    _by_name_and_city,
)
