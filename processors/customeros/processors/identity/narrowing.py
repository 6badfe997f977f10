"""Whose consent becomes narrower when customers become one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from customeros.processors.profile.merge import merge_consent
from customeros.processors.profile.model import ConsentMark

Consents = Callable[[str], dict[str, ConsentMark]]  # of a customer, by purpose


class Narrowed(NamedTuple):
    """
    A customer's grant of a purpose would not count any more, since another member refuses it.

    Args:
        certain: False: only a part of one of the customers would join, and which part refuses
            is not known.
    """

    customer: str
    purpose: str
    because: tuple[str, ...]
    certain: bool


def narrowings(customers: Iterable[str], consents: Consents, *, certain: bool) -> list[Narrowed]:
    """Of each of *customers* the purposes granted that together would not be any more."""
    own = {customer: consents(customer) for customer in customers}
    together = merge_consent(list(own.values()))
    return [
        Narrowed(customer, purpose, _refusing(own, purpose), certain)
        for customer, consent in own.items()
        for purpose, mark in sorted(consent.items())
        if not mark.refused and (purpose not in together or together[purpose].refused)
    ]


def _refusing(own: Mapping[str, Mapping[str, ConsentMark]], purpose: str) -> tuple[str, ...]:
    return tuple(
        customer
        for customer, consent in own.items()
        if purpose in consent and consent[purpose].refused
    )
