"""The single writer of each workspace's identity graph: evidence in, assignments out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
import structlog

from customeros.processors.configured import rules_of
from customeros.processors.identity.fold import digest_of
from customeros.processors.identity.graph import Changes, update
from customeros.processors.identity.model import Conflict, Edge, InForce, Joined, Node, Pair
from customeros.processors.identity.public import change_of, link_of, pair_name, quarantine_of
from customeros.processors.identity.rules import Rules
from customeros.runtime.config import Config
from customeros.runtime.metrics import EVIDENCE_REFUSED
from customeros.runtime.stream import (
    Batch,
    Output,
    Record,
    State,
    Table,
    dead_letter,
    struct_table,
)
from customeros.schemas.codec import ASSIGNMENT, EVIDENCE, IDENTITY_CHANGE, IDENTITY_LINK
from customeros.schemas.identity import Adoption, Cut, Evidence, EvidenceKind
from customeros.schemas.topics import ASSIGNMENTS, CHANGES, LINKS, Topic, topic_key
from customeros.schemas.topics import EVIDENCE as EVIDENCE_TOPIC

T = TypeVar("T")

_LOG: Final = structlog.get_logger()

NODES: Final = struct_table("node", Node)
EDGES: Final = struct_table("edge", Edge)
CUTS: Final = struct_table("cut", Cut)
CONFLICTS: Final = struct_table("conflict", Conflict)
CLOCK: Final[Table[int]] = Table(
    "clock", msgspec.msgpack.encode, msgspec.msgpack.Decoder(int).decode
)
# Sets have no order of their own, and equal rules are to be equal bytes.
RULES: Final[Table[InForce]] = Table(
    "rules",
    msgspec.msgpack.Encoder(order="deterministic").encode,
    msgspec.msgpack.Decoder(InForce).decode,
)
# By version, a digest of each of the rules that were ever in force.
ADOPTED: Final[Table[str]] = Table(
    "adopted", msgspec.msgpack.encode, msgspec.msgpack.Decoder(str).decode
)


class GraphProcessor:
    """
    Evidence becomes assignments; only an identifier whose customer changed gets one.

    Args:
        rules: by workspace, adopted with its first evidence; one without gets the defaults.
    """

    stage: Final = "graph"
    sources: Final[Mapping[Topic, Callable[[bytes], Any]]] = {EVIDENCE_TOPIC: EVIDENCE.decode}

    def __init__(self, rules: Mapping[str, Rules]) -> None:
        self._rules = rules

    def opened(self, state: State) -> None:
        """Say it if what the configuration has is not in force."""
        for _, in_force in state.scan(RULES):
            mine = self._first(in_force.rules.workspace)
            if msgspec.structs.replace(in_force.rules, blocked=mine.blocked) != mine:
                _LOG.warning(
                    "rules_differ",
                    workspace=mine.workspace,
                    in_force=in_force.version,
                    hint="what customeros.toml says of identity is not in force: try "
                    "`customeros identity what-if`, then `customeros identity adopt`",
                )

    def handle(self, state: State, batches: Sequence[Batch]) -> Iterable[Output]:
        """Take evidence into the graphs of its workspaces."""
        (batch,) = batches  # it has one source
        outputs: list[Output] = []
        by_workspace: dict[str, list[Record]] = {}
        for record in batch.records:
            evidence: Evidence | None = record.value
            if evidence is None or record.key != evidence.workspace.encode():
                reason = "malformed_evidence" if evidence is None else "misplaced_evidence"
                detail = "the key of evidence is its workspace, its value says what"
                outputs.append(self._rejected(batch, record, reason, detail))
            else:
                by_workspace.setdefault(evidence.workspace, []).append(record)
        for workspace, records in by_workspace.items():
            stored = StoredGraph(state, workspace)
            first = self._first(workspace)
            changes = update(stored, [record.value for record in records], first, batch.now)
            stored.write(changes)
            _count(changes)
            outputs += [
                Output(ASSIGNMENTS, topic_key(workspace, said.key), ASSIGNMENT.encode(said))
                for said in changes.assignments
            ]
            outputs += _told(stored, changes, workspace)
            outputs += [
                self._rejected(batch, records[position], reason, detail)
                for position, reason, detail in changes.rejected
            ]
        return outputs

    def _first(self, workspace: str) -> Rules:
        return self._rules.get(workspace) or Rules(workspace=workspace)

    def _rejected(self, batch: Batch, record: Record, reason: str, detail: str) -> Output:
        workspace = record.value.workspace if record.value is not None else None
        return dead_letter(self.stage, batch, record, reason, detail, workspace=workspace)


class StoredGraph:
    """One workspace's graph in a partition's state."""

    def __init__(self, state: State, workspace: str) -> None:
        self._state = state
        self._prefix = f"{workspace}/"

    def nodes(self, keys: Iterable[str]) -> dict[str, Node]:
        return self._many(NODES, {self._key(key): key for key in keys})

    def edges(self, pairs: Iterable[Pair]) -> dict[Pair, Edge]:
        return self._many(EDGES, {self._key(*pair): pair for pair in pairs})

    def cuts(self, ids: Iterable[str]) -> dict[str, Cut]:
        return self._many(CUTS, {self._key(cut): cut for cut in ids})

    def conflicts(self) -> Iterator[tuple[Edge, Conflict]]:
        """Evidence that joined nobody, with what stood in its way."""
        for key, conflict in self._state.scan(CONFLICTS, self._prefix.encode()):
            edge = self._state.get(EDGES, key)
            if edge is not None:
                yield edge, conflict

    def keys(self, beyond: str, limit: int) -> list[str]:
        start = self._key(beyond) if beyond else b""
        found = self._state.scan(NODES, self._prefix.encode(), beyond=start, limit=limit)
        return [key.decode().removeprefix(self._prefix) for key, _ in found]

    def clock(self) -> int:
        return self._state.get(CLOCK, self._key()) or 0

    def in_force(self) -> InForce | None:
        return self._state.get(RULES, self._key())

    def adopted(self, version: int) -> str | None:
        return self._state.get(ADOPTED, self._key(str(version)))

    def write(self, changes: Changes) -> None:
        state = self._state
        for key, node in changes.nodes.items():
            state.put(NODES, self._key(key), node)
        for pair, edge in changes.edges.items():
            self._replace(EDGES, pair, edge)
        for pair, conflict in changes.conflicts.items():
            self._replace(CONFLICTS, pair, conflict)
        for cut_id, cut in changes.cuts.items():
            state.put(CUTS, self._key(cut_id), cut)
        if changes.clock is not None:
            state.put(CLOCK, self._key(), changes.clock)
        if changes.rules is not None:
            state.put(RULES, self._key(), changes.rules)
        for said in changes.adopted:
            state.put(ADOPTED, self._key(str(said.version)), digest_of(said))

    def _key(self, *parts: str) -> bytes:
        return (self._prefix + "/".join(parts)).encode()

    def _many(self, table: Table[T], names: Mapping[bytes, Any]) -> dict[Any, T]:
        return {names[key]: v for key, v in self._state.get_many(table, names).items()}

    def _replace(self, table: Table[T], pair: Pair, value: T | None) -> None:
        if value is None:
            self._state.delete(table, self._key(*pair))
        else:
            self._state.put(table, self._key(*pair), value)


def build_graph(config: Config) -> GraphProcessor:
    """The graph stage with the rules of each configured workspace."""
    return GraphProcessor(
        {workspace.name: rules_of(workspace) for workspace in config.workspaces.values()}
    )


def _told(stored: StoredGraph, changes: Changes, workspace: str) -> Iterator[Output]:
    """What changed in the graph, for those who cannot see into it."""
    nodes, version = stored.nodes({key for pair in changes.edges for key in pair}), changes.version
    for pair, edge in changes.edges.items():
        link = None if edge is None else link_of(edge, nodes, workspace, version)
        value = None if link is None else IDENTITY_LINK.encode(link)
        yield Output(LINKS, topic_key(workspace, pair_name(*pair)), value)
    for key, on in changes.quarantine.items():
        lone = quarantine_of(key, changes.nodes[key], workspace, version) if on else None
        value = None if lone is None else IDENTITY_LINK.encode(lone)
        yield Output(LINKS, topic_key(workspace, pair_name(key)), value)
    made: list[Adoption | Cut | tuple[Pair, Joined]] = [*changes.adopted, *changes.cuts.values()]
    made += changes.joins
    for change in (change_of(said, workspace) for said in made):
        value = IDENTITY_CHANGE.encode(change)
        yield Output(CHANGES, topic_key(workspace, change.change_id), value)
    if changes.sweep is not None:
        more = Evidence(workspace=workspace, kind=EvidenceKind.SWEEP, sweep=changes.sweep)
        yield Output(EVIDENCE_TOPIC, workspace.encode(), EVIDENCE.encode(more))


def _count(changes: Changes) -> None:
    for reason, count in changes.refusals.items():
        EVIDENCE_REFUSED.labels(reason.value).inc(count)
    for conflict in changes.conflicts.values():
        if conflict is not None:
            EVIDENCE_REFUSED.labels(conflict.reason.value).inc()
