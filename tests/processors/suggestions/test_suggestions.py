"""Suggestions find people whom evidence does not join, and say why."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customeros.processors.suggestions import blocks
from customeros.processors.suggestions.blocks import FULL_BLOCK, LEAST, MOST, candidates, room_of
from customeros.processors.suggestions.record import Record, record, record_of_traits
from customeros.processors.suggestions.suggest import suggest
from customeros.processors.suggestions.suggestion import Suggestion

GIVEN = (
    "ada", "bruno", "carla", "dmitri", "elena", "farid", "greta", "hugo", "ines", "jakob",
    "karim", "lotte", "marek", "nadia", "oskar", "paula", "quentin", "rosa", "stefan", "tamara",
)  # fmt: skip
SURNAMES = (
    "abel", "bianchi", "castro", "dvorak", "eriksen", "fischer", "gupta", "horvath", "ivanov",
    "jensen", "kowalski", "lindgren", "moreau", "novak", "okafor", "petrov", "quist", "rossi",
    "schulz", "tanaka",
)  # fmt: skip
JOHN = {
    "given": "John",
    "surname": "Whitfield",
    "born": "1984-07-23",
    "street": "Harbour Road",
    "number": "17",
    "city": "Bristol",
    "postcode": "40213",
    "email": "john.whitfield@mail.example",
    "phone": "+447700900123",
}


def strangers(count: int, seed: int = 7) -> list[Record]:
    """So many people who have nothing to do with each other but a town or a name."""
    chance = random.Random(seed)
    people = []
    for number in range(count):
        first, last = chance.choice(GIVEN), chance.choice(SURNAMES)
        day = f"{chance.randint(1940, 2005)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}"
        people.append(
            record(
                f"s{number:06}",
                {
                    "given": first,
                    "surname": last,
                    "born": day,
                    "street": f"{chance.choice(SURNAMES)} street",
                    "number": str(chance.randint(1, 300)),
                    "city": chance.choice(("bristol", "leeds", "york", "derby")),
                    "postcode": str(chance.randint(10_000, 99_999)),
                    "email": f"{first}.{last}{chance.randint(1, 9999)}@mail.example",
                    "phone": f"+4477{chance.randint(0, 99_999_999):08}",
                },
            )
        )
    return people


def about_john(**other: str | None) -> list[Suggestion]:
    """What is suggested of John and one who differs from him in `other`, among strangers."""
    two = [record("john", JOHN), record("other", {**JOHN, **other})]
    return [one for one in suggest([*strangers(80), *two]) if one.b == "other"]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"given": "Jon"}, "one given name in two forms: john / jon"),
        ({"given": "Johnny", "phone": None}, "one given name in two forms: john / johnny"),
        ({"born": "1984-07-32"}, "birth dates differ in one digit, or two are transposed"),
        ({"born": "1984-07-32", "email": None}, "same surname"),
        ({"surname": "Whitfeild"}, "surname nearly equal: whitfield / whitfeild"),
        ({"email": "john.whitfield+shop@mail.example"}, "e-mail addresses of one mailbox"),
        ({"email": "john.whitfeild@mail.example"}, "e-mail addresses differ in one or two"),
        ({"phone": "07700900123"}, "phone number with another prefix"),
        ({"phone": "+447700900132"}, "phone numbers differ in one digit, or two are transposed"),
        ({"postcode": "40231"}, "postcodes with two digits transposed: 40213 / 40231"),
        ({"given": "Whitfield", "surname": "John"}, "same birth date"),
        ({"street": "Road Harbour"}, "street written otherwise or in another field"),
    ],
)  # fmt: skip
def test_one_person_written_otherwise_is_shown_first_with_the_reason(
    other: dict[str, str | None], reason: str
) -> None:
    (found,) = about_john(**other)
    assert found.a == "john"
    assert found.first
    assert any(told.startswith(reason) for told in found.reasons), found.reasons


def whitfields(one: str, other: str) -> Suggestion | None:
    """What is suggested of two John Whitfields of whom no more is known than their addresses."""
    known = {"given": "John", "surname": "Whitfield"}
    two = [record("a", {**known, "email": one}), record("b", {**known, "email": other})]
    return next((s for s in suggest([*strangers(200), *two], at_least=0) if s.b == "b"), None)


@pytest.mark.parametrize(
    "other", ["johnwhitfield@post.test", "j.whitfield@mail.example", "whitfieldjohn@mail.example"]
)
def test_an_address_made_of_a_name_says_no_more_than_the_name(other: str) -> None:
    """Who is called alike gets alike addresses."""
    found = whitfields("john.whitfield@mail.example", other)
    assert found is not None
    assert not found.first
    assert not any(reason.startswith("e-mail") for reason in found.reasons)


def test_an_address_that_somebody_chose_says_more_than_a_name() -> None:
    found = whitfields("moonchild77@mail.example", "moonchild77@post.test")
    made = whitfields("john.whitfield@mail.example", "john.whitfield@post.test")
    assert found is not None
    assert made is not None
    assert found.probability > 0.9 > made.probability
    assert "e-mail addresses with one name, moonchild77, at two providers" in found.reasons


def test_another_number_in_an_address_is_anothers() -> None:
    found = whitfields("moonchild77@mail.example", "moonchild7@mail.example")
    assert found is not None
    assert "another e-mail address" in found.reasons


@pytest.mark.parametrize(
    ("who", "other"),
    [
        ("a sister", {"given": "Margaret", "born": "1988-02-11", "email": None}),
        ("a twin", {"given": "Margaret", "email": None}),
        ("a father of that name", {"born": "1951-03-02", "email": None}),
    ],
)
def test_a_household_is_not_shown_first(who: str, other: dict[str, str | None]) -> None:
    assert not any(found.first for found in about_john(**other)), who


def test_what_speaks_against_is_said_last() -> None:
    (found,) = about_john(city="Leeds", given="Jon")
    assert found.reasons[-1] == "another city"


def test_strangers_are_not_suggested() -> None:
    assert suggest(strangers(120)) == []


@pytest.mark.parametrize("count", [0, 1])
def test_nobody_and_one_alone_give_no_suggestion(count: int) -> None:
    assert suggest(strangers(count)) == []


def test_two_records_are_enough() -> None:
    (found,) = suggest([record("a", JOHN), record("b", {**JOHN, "given": "Jon"})])
    assert (found.a, found.b) == ("a", "b")


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_records_changes_nothing(chance: random.Random) -> None:
    people = [*strangers(30), record("john", JOHN), record("jon", {**JOHN, "given": "Jon"})]
    shuffled = chance.sample(people, len(people))
    assert suggest(shuffled) == suggest(people)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(sorted((*JOHN, "district", "region", "company", "related"))),
            st.text(max_size=12) | st.lists(st.text(max_size=6), max_size=3),
        ),
        max_size=6,
    )
)
def test_whatever_people_write_is_compared(rows: list[dict[str, str | list[str]]]) -> None:
    records = [record(str(place), row) for place, row in enumerate(rows)]
    for found in suggest(records, at_least=0.0):
        assert 0 <= found.probability <= 1
        assert found.a < found.b


def test_pairs_grow_with_the_records_not_with_their_square() -> None:
    """Everybody in one town of one name: full blocks are walked, not multiplied out."""
    one_name = {"given": "Maria", "surname": "Silva", "city": "Lisboa", "postcode": "10000"}
    sizes = (400, 800, 1600)
    counts = [len(candidates([record(f"{n:05}", one_name) for n in range(size)])) for size in sizes]
    assert all(count <= FULL_BLOCK * size for count, size in zip(counts, sizes, strict=True))
    assert counts[2] < 2.1 * counts[1] < 2.1 * 2.1 * counts[0]


def test_what_few_share_is_compared_first_where_room_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everybody shares a name and a town; two share a number as well."""
    monkeypatch.setattr(blocks, "MOST", 1)
    monkeypatch.setattr(blocks, "LEAST", 1)
    one_name = {"given": "Maria", "surname": "Silva", "city": "Lisboa"}
    people = [record(f"{n:03}", {**one_name, "phone": f"+35191{n:07}"}) for n in range(30)]
    people.append(record("twin", {**one_name, "phone": "910000003"}))

    found = candidates(people)

    assert (3, 30) in found
    assert len(found) < len(people)


@pytest.mark.parametrize("size", [1, 20_000, 50_000, 400_000, 10_000_000])
def test_a_record_asks_for_no_more_the_more_there_are(size: int) -> None:
    assert LEAST <= room_of(size) <= MOST
    assert room_of(size * 2) <= room_of(size)


def test_traits_are_known_under_the_names_that_sources_use() -> None:
    traits = {
        "firstName": "Ada",
        "last_name": "Lovelace",
        "birthday": "1815-12-10T00:00:00Z",
        "address": {"street": "St James's Square", "postalCode": "SW1Y 4JH", "city": "London"},
        "company": {"name": "Analytical Engines"},
        "email": "Ada@Example.org",
        "age": 36,
    }
    values = record_of_traits("c", traits, emails=["a.l@example.org"], phones=["+44 20 7946 0958"])
    assert values.values == {
        "given": ("ada",),
        "surname": ("lovelace",),
        "born": ("18151210",),
        "street": ("st james s square",),
        "city": ("london",),
        "postcode": ("sw1y 4jh",),
        "company": ("analytical engines",),
        "email": ("a.l@example.org", "ada@example.org"),
        "phone": ("442079460958",),
    }


def test_a_whole_name_is_split_at_its_last_word() -> None:
    values = record_of_traits("c", {"name": "Dr. Ada King Lovelace"}).values
    assert (values["given"], values["surname"]) == (("ada king",), ("lovelace",))
