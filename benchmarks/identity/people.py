"""Made-up customers of a shop: names as uneven as real ones, some of them there twice."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from itertools import accumulate, product
from typing import Final, NamedTuple

from nicknames import NickNamer

# Of all customers, so many are another's second record, written otherwise.
TWICE: Final = 0.02
# The share of customers of whom a field is known.
KNOWN: Final[Mapping[str, float]] = {
    "given": 0.9,
    "surname": 0.9,
    "email": 0.85,
    "phone": 0.5,
    "born": 0.35,
    "postcode": 0.6,
    "company": 0.1,
}
_PROVIDERS: Final = {
    "gmail.com": 45, "yahoo.example": 12, "hotmail.example": 12, "icloud.example": 10,
    "outlook.example": 8, "web.example": 5, "work.example": 4, "post.example": 4,
}  # fmt: skip
# Surnames are two or four of these one after the other.
_STARTS: Final = (*"bdfghjklmnprstvw", "br", "ch", "gr", "sch")
_MIDDLES: Final = (*"aeiou", "ai", "ei", "ou")
_ENDS: Final = (*"nrstl", "ck", "nd", "rt", "man", "son", "ner", "ley", "berg", "ski", "ova")


class Person(NamedTuple):
    """A record's fields, and who it truly is."""

    fields: Mapping[str, str]
    truth: int


def people(count: int, seed: int = 1) -> Iterator[Person]:
    """So many records of customers; the same for the same arguments."""
    chance = random.Random(seed)
    world = _World(count, chance)
    twice = round(count * TWICE)
    for number in range(count - twice):
        fields = world.somebody()
        yield Person(fields, number)
        if number < twice:
            yield Person(world.again(fields), number)


class _World:
    """The names, towns and providers there are; common ones are far commoner than rare ones."""

    def __init__(self, count: int, chance: random.Random) -> None:
        self._chance = chance
        self._taken: set[str] = set()
        self._given = sorted({n for n in NickNamer().nickname_lookup if n.isalpha()})
        chance.shuffle(self._given)
        self._forms = NickNamer().nickname_lookup
        half = [a + b + c for a, b, c in product(_STARTS, _MIDDLES, _ENDS)]
        chance.shuffle(half)
        # New surnames keep coming, the slower the more there are.
        wanted = 20_000 + count // 4
        self._surnames = [*half, *(a + b for a, b in product(half[:400], half))][:wanted]
        self._towns = [f"{a}{b}" for a, b in product(("north", "new", "port", "old"), half[:200])]
        self._weights = {
            name: list(accumulate(1 / (rank + shift) for rank in range(1, size + 1)))
            for name, size, shift in (
                ("given", len(self._given), 8),
                ("surname", len(self._surnames), 40),
                ("town", len(self._towns), 3),
            )
        }

    def somebody(self) -> dict[str, str]:
        chance = self._chance
        given, surname = self._one("given", self._given), self._one("surname", self._surnames)
        town = self._one("town", self._towns)
        place = self._towns.index(town)
        whole = {
            "given": given,
            "surname": surname,
            "email": self._address(given, surname),
            "phone": f"+4477{chance.randrange(10**8):08}",
            "born": f"{round(chance.triangular(1935, 2007, 1985))}"
            f"{chance.randint(1, 12):02}{chance.randint(1, 28):02}",
            "postcode": f"{place:03}{chance.randrange(60):02}",
            "company": self._one("surname", self._surnames),
        }
        known = {name: value for name, value in whole.items() if chance.random() < KNOWN[name]}
        if "postcode" in known:
            street = self._one("surname", self._surnames)
            known |= {"city": town, "street": f"{street} street"}
            known["number"] = str(chance.randint(1, 200))
        if not known.keys() & {"email", "phone"}:
            known["email"] = whole["email"]
        return known

    def again(self, fields: Mapping[str, str]) -> dict[str, str]:
        """
        The same person as another form has it: one to three things are otherwise.

        Neither address nor number is the same: evidence would have joined the two.
        """
        chance, other = self._chance, dict(fields)
        some = chance.sample(sorted(other), k=min(len(other), chance.randint(1, 3)))
        for name in sorted({*some, *({"email", "phone"} & other.keys())}):
            changed = self._otherwise(name, other[name])
            if changed and changed != fields[name]:
                other[name] = changed
            else:
                del other[name]
        return other

    def _otherwise(self, name: str, value: str) -> str:
        """Another form, a slip of the pen, or nothing."""
        chance = self._chance
        if name == "given" and chance.random() < 0.5 and (forms := self._forms.get(value)):
            return chance.choice(sorted(forms))
        if chance.random() < 0.3:
            return ""
        if name == "email" and chance.random() < 0.8:
            local, _, domain = value.partition("@")
            provider = chance.choice(sorted(_PROVIDERS))
            return f"{local}+shop@{domain}" if provider == domain else f"{local}@{provider}"
        if name == "phone" and chance.random() < 0.7:
            return "0" + value.removeprefix("+44")
        at = chance.randrange(1, max(2, len(value) - 1))
        if chance.random() < 0.5:  # two transposed, or one mistaken
            return value[: at - 1] + value[at - 1 : at + 1][::-1] + value[at + 1 :]
        letters = "0123456789" if value[at : at + 1].isdigit() else "aeinrst"
        return value[:at] + chance.choice(letters) + value[at + 1 :]

    def _address(self, given: str, surname: str) -> str:
        chance = self._chance
        local = chance.choice(
            (f"{given}.{surname}", f"{given}{surname}", f"{given[0]}.{surname}", given)
        )
        if chance.random() < 0.6:
            local += str(chance.randrange(10 ** chance.randint(1, 4)))
        (domain,) = chance.choices(list(_PROVIDERS), list(_PROVIDERS.values()))
        address, digits = f"{local}@{domain}", 2
        while address in self._taken:  # whoever comes later gets what is left
            address, digits = f"{local}{chance.randrange(10**digits)}@{domain}", digits + 1
        self._taken.add(address)
        return address

    def _one(self, kind: str, values: list[str]) -> str:
        (found,) = self._chance.choices(values, cum_weights=self._weights[kind])
        return found
