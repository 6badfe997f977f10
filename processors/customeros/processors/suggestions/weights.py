"""
How much each level of agreement speaks for one person: learnt from the records themselves.

Fellegi and Sunter's model. How often two strangers agree is counted on a fixed sample of pairs and
on the values' frequencies; how often one person's records agree is estimated by expectation
maximisation over the candidates, starting from and held by what `USUAL` says, so that a workspace
with five customers has sensible weights too. No labels are needed, and nothing is random.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import exp2, isqrt, log2
from typing import Final, NamedTuple

from customeros.processors.suggestions.compare import FIELDS, Level, Vector, vector
from customeros.processors.suggestions.record import Record

# Of one person's two records: shares of OTHER, LIKE, NEAR, SAME, EXACT. Tuned on FEBRL 1 and 3.
USUAL: Final[Mapping[str, tuple[float, ...]]] = {
    "given": (0.08, 0.04, 0.12, 0.06, 0.70),
    "surname": (0.06, 0.04, 0.12, 0.04, 0.74),
    "born": (0.03, 0.05, 0.10, 0.02, 0.80),
    "related": (0.50, 0.00, 0.20, 0.15, 0.15),
    "company": (0.35, 0.05, 0.10, 0.05, 0.45),
    "city": (0.20, 0.04, 0.10, 0.02, 0.64),
    "region": (0.12, 0.00, 0.05, 0.01, 0.82),
}
_USUAL_OTHERWISE: Final = (0.20, 0.06, 0.12, 0.04, 0.58)
# Strangers, where too few pairs are there to count.
_STRANGERS: Final = (0.96, 0.025, 0.006, 0.004, 0.005)
USUAL_WEIGHT: Final = 40.0  # matches that `USUAL` counts for
STRANGERS_WEIGHT: Final = 50.0  # pairs that `_STRANGERS` counts for
# The same where all pairs are counted: the few records of a small list may well be one person's.
EQUAL_WEIGHT: Final = 1_000.0
RARITY_WEIGHT: Final = 100.0  # records that a field's usual rarity counts for
# What is unlikelier teaches nothing: among very many customers it would outweigh what is likely.
LEARNT: Final = 0.1
SAMPLE_PAIRS: Final = 10_000
ROUNDS: Final = 15
# A value that few have says more. Of those many have, e.g. a region, agreement says little anyway.
BY_FREQUENCY: Final = ("given", "surname", "city", "postcode", "street", "company", "district")
# What says already where somebody lives, the surest first.
TOLD_BY: Final[Mapping[str, Sequence[str]]] = {"city": ("postcode",), "street": ("postcode",)}


class Weights(NamedTuple):
    """
    Args:
        bits: per field, aligned with `FIELDS`, and level: log2 of how much likelier it is between
            one person's records than between strangers'; 0 for UNKNOWN.
        start: bits of two records about which nothing is known; negative.
    """

    bits: tuple[tuple[float, ...], ...]
    start: float


class Values(NamedTuple):
    """
    What agreement on a value is worth beyond the usual, in bits.

    Args:
        rarity: by field and value, where it agrees exactly.
        told: by field, and by another that agrees exactly as well and so tells of it already:
            who shares a postcode shares a city.
    """

    rarity: Mapping[str, Mapping[str, float]]
    told: Mapping[str, Mapping[str, float]]


Shares = Sequence[tuple[float, ...]]  # of levels, aligned with `FIELDS`


def learn(
    size: int,
    among_strangers: Shares,
    vectors: Sequence[Vector],
    pairs: Iterable[tuple[int, float]],
) -> Weights:
    """
    Weights for *size* records.

    Args:
        vectors: those that occur, each once.
        pairs: of each pair that is compared, the place of its vector, and what `rare` says.
    """
    counted = [
        (vectors[which], rarer, count)
        for (which, rarer), count in Counter((which, round(bits)) for which, bits in pairs).items()
    ]
    size = max(size, 2)
    every = size * (size - 1) / 2
    usual = [_shares(USUAL.get(name, _USUAL_OTHERWISE)) for name in FIELDS]
    matched, share = usual, 1 / size
    for _ in range(ROUNDS):
        bits = _bits(matched, among_strangers)
        start = log2(share / (1 - share))
        tally = [[USUAL_WEIGHT * part for part in parts] for parts in usual]
        found = 0.0
        for levels, rarer, count in counted:
            total = start + rarer
            for place, level in enumerate(levels):
                total += bits[place][level]
            likely = probability(total)
            if likely < LEARNT:
                continue
            weight = count * likely
            found += weight
            for place, level in enumerate(levels):
                if level:
                    tally[place][level - 1] += weight
        matched = [_shares(parts) for parts in tally]
        # One match is always thought possible, and never more than half of all pairs.
        share = min(max(found, 1.0) / every, 0.5)
    return Weights(_bits(matched, among_strangers), log2(share / (1 - share)))


def rare(a: Record, b: Record, levels: Vector, worth: Values) -> float:
    """Bits for agreement on values that are rarer, or more common, than their field's usual."""
    total = 0.0
    for name, values in worth.rarity.items():
        if levels[_PLACE[name]] == Level.EXACT:
            for finer, bits in worth.told.get(name, {}).items():
                if levels[_PLACE[finer]] == Level.EXACT:
                    total += bits
                    break
            else:
                total += max(values.get(v, 0.0) for v in a.values[name] if v in b.values[name])
    return total


def probability(bits: float) -> float:
    """Of log2 odds."""
    return 1 / (1 + exp2(-max(min(bits, 60.0), -60.0)))


_PLACE: Final = {name: place for place, name in enumerate(FIELDS)}


def strangers(records: Sequence[Record]) -> list[tuple[float, ...]]:
    """
    Shares of levels among all pairs, nearly all of which are of two persons.

    Exact agreement follows from the values' frequencies; the rest is counted on a sample.
    """
    size = len(records)
    counts = [[STRANGERS_WEIGHT * part for part in _STRANGERS] for _ in FIELDS]
    every = size * (size - 1) // 2
    apart = max(1, every // SAMPLE_PAIRS)
    for number in range(0, every, apart):
        a, b = _pair(number)
        for at, level in enumerate(vector(records[a], records[b])):
            if level:
                counts[at][level - 1] += 1
    return [
        _shares(_with_equal(records, name, parts), floor=1e-5)
        for name, parts in zip(FIELDS, counts, strict=True)
    ]


def _with_equal(records: Sequence[Record], name: str, parts: list[float]) -> list[float]:
    """`parts` with the share of equal values that the values' frequencies say."""
    seen = Counter(value for one in records for value in one.values.get(name, ()))
    known = sum(seen.values())
    if name == "related" or known < 2:
        return parts
    equal = sum(count * (count - 1) for count in seen.values())
    agreed = (equal + EQUAL_WEIGHT * _STRANGERS[-1]) / (known * (known - 1) + EQUAL_WEIGHT)
    rest = (1 - agreed) / sum(parts[:-1])
    return [*(part * rest for part in parts[:-1]), agreed]


def _pair(number: int) -> tuple[int, int]:
    """The number-th pair, with the smaller place second: (1, 0), (2, 0), (2, 1), …"""
    high = (1 + isqrt(1 + 8 * number)) // 2
    return high, number - high * (high - 1) // 2


def values_of(records: Sequence[Record], among_strangers: Shares) -> Values:
    """What the values of *records* are worth where two agree on them."""
    told = {
        name: {finer: _told(records, name, finer, among_strangers) for finer in all_finer}
        for name, all_finer in TOLD_BY.items()
    }
    return Values(_rarity(records, among_strangers), told)


def _told(records: Sequence[Record], name: str, finer: str, among_strangers: Shares) -> float:
    """Bits, 0 or fewer: how much likelier strangers agree on *name* if they do on *finer*."""
    by_finer: Counter[str] = Counter()
    by_both: Counter[tuple[str, str]] = Counter()
    for one in records:
        if (mine := one.values.get(name)) and (place := one.values.get(finer)):
            by_finer[place[0]] += 1
            by_both[place[0], mine[0]] += 1
    usual = among_strangers[_PLACE[name]][Level.EXACT - 1]
    alike = sum(count * (count - 1) for count in by_finer.values())
    both = sum(count * (count - 1) for count in by_both.values())
    return min(0.0, log2(usual * (alike + RARITY_WEIGHT) / (both + RARITY_WEIGHT * usual)))


def _rarity(records: Sequence[Record], among_strangers: Shares) -> dict[str, dict[str, float]]:
    rarity: dict[str, dict[str, float]] = {}
    for name in BY_FREQUENCY:
        seen = Counter(value for one in records for value in one.values.get(name, ()))
        known = sum(seen.values())
        usual = among_strangers[_PLACE[name]][Level.EXACT - 1]
        # The two that agree are no witnesses of how common their value is: the others are.
        rarity[name] = {
            value: log2(usual * (known + RARITY_WEIGHT) / max(count - 2 + RARITY_WEIGHT * usual, 1))
            for value, count in seen.items()
            if count > 1
        }
    return rarity


def _bits(
    matched: Sequence[tuple[float, ...]], strangers: Sequence[tuple[float, ...]]
) -> tuple[tuple[float, ...], ...]:
    return tuple(
        (0.0, *(log2(m / u) for m, u in zip(ours, theirs, strict=True)))
        for ours, theirs in zip(matched, strangers, strict=True)
    )


def _shares(parts: Sequence[float], floor: float = 1e-4) -> tuple[float, ...]:
    whole = sum(parts)
    bounded = [max(part / whole, floor) for part in parts]
    total = sum(bounded)
    return tuple(part / total for part in bounded)
