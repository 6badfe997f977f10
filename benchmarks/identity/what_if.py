"""What a what-if costs: `python -m benchmarks.identity.what_if [IDENTIFIERS…]`."""

from __future__ import annotations

import base64
import hashlib
import random
import resource
import sys
from collections.abc import Sequence
from time import process_time
from typing import Final

import msgspec

from customeros.processors.identity.public import pair_name
from customeros.processors.identity.rules import Rules
from customeros.processors.identity.what_if import compare
from customeros.schemas.codec import ASSIGNMENT, IDENTITY_LINK
from customeros.schemas.identifier import (
    BUILT_IN_TYPES,
    CustomerId,
    IdentifierKey,
    IdentifierRules,
    IdentifierType,
    customer_id,
)
from customeros.schemas.identity import Assignment, IdentityLink, Proof, Refusal
from customeros.schemas.topics import topic_key
from customeros.serving.identity.changes import Changes
from customeros.serving.identity.links import Links, WorkspaceGraph

SIZES: Final = (100_000, 1_000_000)
WORKSPACE: Final = "shop"
_TYPES: Final = ("user_id", "anonymous_id", "email", "anonymous_id")
_SHARED: Final = 0.05  # of the customers with a device that another's log-in was seen on


def main(arguments: Sequence[str]) -> None:
    """Of each size in turn; the peak is that of the process."""
    for size in [int(text) for text in arguments] or SIZES:
        graph, customers = _world(size)
        full = _megabytes()
        types = {**BUILT_IN_TYPES, "user_id": _two_accounts()}
        then = Rules(workspace=WORKSPACE, identifiers=IdentifierRules(types=types))
        began = process_time()
        found = compare(graph, Rules(workspace=WORKSPACE), then, consents=lambda _: {}, first=20)
        spent = process_time() - began
        print(
            f"{size:,} identifiers of {customers:,} customers: {spent:.1f} s, "
            f"{_megabytes() - full:.0f} MB beside {full:.0f} MB of evidence; "
            f"{found.joins:,} joins, {found.behind} behind",
            flush=True,
        )


def _world(size: int) -> tuple[WorkspaceGraph, int]:
    """Customers of 2.5 identifiers, of whom some meet on one device."""
    chance = random.Random(1)
    links, assignments = Links(), dict[bytes, bytes]()
    made = customers = 0
    lender: tuple[str, str] | None = None
    while made < size:
        count = chance.choice((1, 2, 2, 3, 3, 4))
        keys = [(_key(made + at), _TYPES[at]) for at in range(count)]
        made, customers = made + count, customers + 1
        own = customer_id(WORKSPACE, IdentifierKey(keys[0][0]))
        for other in keys[1:]:
            _link(links, keys[0], other, made)
        if count > 1:
            for one in keys:
                _assign(assignments, one, own)
            if lender and chance.random() < _SHARED:
                _link(links, keys[0], lender, made, refused=Refusal.LIMIT, detail="user_id")
            lender = keys[1]
    return WorkspaceGraph(WORKSPACE, links, assignments, Changes()), customers


def _key(number: int) -> str:
    return base64.b32encode(hashlib.sha256(b"%d" % number).digest()[:15])[:20].decode().lower()


def _link(
    links: Links,
    one: tuple[str, str],
    other: tuple[str, str],
    at: int,
    *,
    refused: str | None = None,
    detail: str = "",
) -> None:
    (a, a_type), (b, b_type) = sorted((one, other))
    proof = Proof(occurred_at=at, event_id=f"event-{at}", source="web", rule="seen_track")
    links[topic_key(WORKSPACE, pair_name(a, b))] = IDENTITY_LINK.encode(
        IdentityLink(
            workspace=WORKSPACE,
            a=a,
            b=b,
            version=1,
            a_type=a_type,
            b_type=b_type,
            strength=1,
            occurred_at=at,
            event_id=proof.event_id,
            source=proof.source,
            rule=proof.rule,
            refused=refused,
            detail=detail,
            proofs=(proof,),
        )
    )


def _assign(assignments: dict[bytes, bytes], one: tuple[str, str], own: CustomerId) -> None:
    key, kind = one
    said = Assignment(
        workspace=WORKSPACE, key=key, type=kind, customer_id=own, version=1, epoch=0, cause="e"
    )
    assignments[topic_key(WORKSPACE, key)] = ASSIGNMENT.encode(said)


def _two_accounts() -> IdentifierType:
    return msgspec.structs.replace(BUILT_IN_TYPES["user_id"], limit=2)


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(sys.argv[1:])
