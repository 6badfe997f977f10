"""The parts of an organisation as they are kept, and what they add up to."""

from __future__ import annotations

from typing import Final

from customeros.processors.accounts.model import PartChange
from customeros.processors.accounts.total import LEVELS, Held, Total, added, bucket_of, total_of
from customeros.runtime.stream import State, Table, struct_table

# So many parts are added up each time; more than that are kept as totals.
_CROWD: Final = 32


def text_table(name: str) -> Table[str]:
    """A table of texts."""
    return Table(name, str.encode, bytes.decode)


# An account's row is 16 bytes, a bucket one for each level.
# By row and identifier key: whose the identifier is.
OWNERS: Final = text_table("account_owner")
# By row, bucket and identifier key.
PARTS: Final = struct_table("account_part", Held)
# Of the crowded: by row, level and as much of a bucket's way.
TOTALS: Final = struct_table("account_total", Total)


class Parts:
    """
    The parts of one account while a batch is folded.

    Args:
        row: of the account.
        crowded: it has totals, since it once had many parts.
    """

    def __init__(self, state: State, row: bytes, *, crowded: bool) -> None:
        self.crowded = crowded
        self._row = row
        self._state = state
        self._buckets: dict[bytes, dict[str, Held]] = {}
        self._changed: set[bytes] = set()
        self._loaded = False

    def take(self, change: PartChange) -> None:
        """Apply *change*, unless one of the same identifier that is as new was taken."""
        place = self._row + change.nid.encode()
        owner = self._state.get(OWNERS, place)
        before = None if owner is None else self._held(owner).get(change.nid)
        if before is not None and change.sequence <= before.sequence:
            return
        part = change.part if change.part is not None or before is None else before.part
        if owner is not None and owner != change.customer_id:
            self._keep(owner, change.nid, None)
        if change.customer_id is None:
            self._state.delete(OWNERS, place)
        elif part is not None:
            held = Held(change.customer_id, change.sequence, part)
            self._keep(change.customer_id, change.nid, held)
            if owner != change.customer_id:
                self._state.put(OWNERS, place, change.customer_id)

    def total(self) -> Total:
        """What all parts add up to."""
        if not self.crowded:
            if not self._loaded:
                self._load(b"")
            parts = {nid: held for found in self._buckets.values() for nid, held in found.items()}
            if len(parts) <= _CROWD:
                return total_of(parts)
            self.crowded = True
            self._changed = set(self._buckets)
        for bucket in sorted(self._changed):
            self._keep_total(bucket, total_of(self._buckets[bucket]))
        for level in range(LEVELS - 1, 0, -1):
            for place in sorted({bucket[:level] for bucket in self._changed}):
                self._keep_total(place, self._added(place))
        return self._added(b"")

    def _held(self, customer_id: str) -> dict[str, Held]:
        """The parts of the customer's bucket, by identifier key."""
        bucket = bucket_of(customer_id)
        if self.crowded:
            if bucket not in self._buckets:
                self._load(bucket)
        elif not self._loaded:
            self._load(b"")
        return self._buckets.setdefault(bucket, {})

    def _load(self, bucket: bytes) -> None:
        """Read the parts of *bucket*; of all, where it is empty."""
        self._loaded = True
        for key, held in self._state.scan(PARTS, self._row + bucket):
            place = key[len(self._row) :]
            parts = self._buckets.setdefault(place[:LEVELS], {})
            parts[place[LEVELS:].decode()] = held

    def _keep(self, customer_id: str, nid: str, held: Held | None) -> None:
        parts = self._held(customer_id)
        bucket = bucket_of(customer_id)
        place = self._row + bucket + nid.encode()
        self._changed.add(bucket)
        if held is None:
            del parts[nid]
            self._state.delete(PARTS, place)
        else:
            parts[nid] = held
            self._state.put(PARTS, place, held)

    def _added(self, place: bytes) -> Total:
        """The total of what is one level below *place*."""
        below = bytes((len(place) + 1,)) + place
        return added(total for _, total in self._state.scan(TOTALS, self._row + below))

    def _keep_total(self, place: bytes, total: Total) -> None:
        row = self._row + bytes((len(place),)) + place
        if total.parts:
            self._state.put(TOTALS, row, total)
        else:
            self._state.delete(TOTALS, row)
