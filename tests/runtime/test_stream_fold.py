"""A record is folded once, whatever is delivered again; what cannot be read is given up on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.runtime.stream.fold import Folded, PartitionFold
from customeros.runtime.stream.memory import Stored
from customeros.runtime.stream.model import Batch, Output, Record, State, dead_letter, struct_table
from customeros.runtime.stream.store import DictStore, Position
from customeros.schemas.codec import DEAD_LETTER, EVENT
from customeros.schemas.dead_letter import DeadLetter
from customeros.schemas.topics import DEAD_LETTERS, EVIDENCE, Topic, topic_key
from support.counting import COUNTED, COUNTS, LEFT, RIGHT, Count, Counting

NOON = 1_700_000_000_000


def records(*offsets: int, value: bytes = b"1") -> list[Stored]:
    return [Stored(offset, b"default/k", value, NOON) for offset in offsets]


def committed(fold: PartitionFold, store: DictStore) -> list[Output]:
    """Commit what was folded; its outputs."""
    sealed = fold.seal()
    store.write(sealed.writes, Position(store.position.offset + 1))
    fold.settle()
    return list(sealed.outputs)


def letter_of(output: Output) -> DeadLetter:
    return DEAD_LETTER.decode(output.value or b"")


@given(st.lists(st.tuples(st.sampled_from((LEFT, RIGHT)), st.integers(0, 30), st.booleans())))
def test_any_redelivery_folds_each_offset_once(
    deliveries: list[tuple[Topic, int, bool]],
) -> None:
    """Deliveries go back as far as they like, and the process may be new each time."""
    store = DictStore()
    fold = PartitionFold(Counting(), 0, store)
    seen = {LEFT: 0, RIGHT: 0}
    for topic, back_to, is_restarted in deliveries:
        start = min(back_to, seen[topic])  # a consumer never jumps over what it has not delivered
        fold.fold(topic, records(*range(start, start + 5)), NOON)
        seen[topic] = max(seen[topic], start + 5)
        committed(fold, store)
        if is_restarted:
            fold = PartitionFold(Counting(), 0, store)

    ((_, counted),) = list(store.scan(COUNTS.prefix)) or [(b"", COUNTS.encode(Count(0, 0)))]
    assert COUNTS.decode(counted).number == sum(seen.values())


def test_a_batch_that_was_all_folded_before_leaves_nothing_to_commit() -> None:
    store = DictStore()
    fold = PartitionFold(Counting(), 0, store)
    assert fold.fold(LEFT, records(3, 4), NOON) == Folded(fresh=2, repeated=0)
    committed(fold, store)

    assert fold.fold(LEFT, records(3, 4), NOON) == Folded(fresh=0, repeated=2)

    assert not fold.seal().writes


def test_sources_have_a_watermark_each() -> None:
    store = DictStore()
    fold = PartitionFold(Counting(), 0, store)
    fold.fold(LEFT, records(9), NOON)
    fold.fold(RIGHT, records(2), NOON)
    committed(fold, store)

    again = PartitionFold(Counting(), 0, store)

    assert (again.watermark(LEFT), again.watermark(RIGHT)) == (9, 2)


def test_a_topic_made_anew_has_not_been_folded() -> None:
    store = DictStore()
    fold = PartitionFold(Counting(), 0, store, topic_ids={LEFT.name: "old"})
    fold.fold(LEFT, records(9), NOON)
    committed(fold, store)

    again = PartitionFold(Counting(), 0, store, topic_ids={LEFT.name: "new"})

    assert again.watermark(LEFT) == -1
    assert again.fold(LEFT, records(0), NOON) == Folded(fresh=1, repeated=0)


def test_poison_passes_the_watermark_like_any_record() -> None:
    store = DictStore()
    fold = PartitionFold(Counting(), 3, store)

    fold.fold(LEFT, [*records(1), *records(2, value=b"nope")], NOON)

    letter, counted = sorted(committed(fold, store), key=lambda output: output.topic.name)[::-1][
        ::-1
    ]
    assert {letter.topic, counted.topic} == {DEAD_LETTERS, COUNTED}
    assert fold.watermark(LEFT) == 2


def test_a_transaction_is_handled_at_once_by_topic_unless_it_is_very_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("customeros.runtime.stream.fold._TOGETHER_RECORDS", 5)
    processor = Listening()
    fold = PartitionFold(processor, 0, DictStore())

    for topic, offset in ((LEFT, 0), (RIGHT, 0), (LEFT, 1)):
        fold.fold(topic, records(offset), NOON)
    assert not processor.heard
    fold.seal()
    fold.settle()
    fold.fold(RIGHT, records(*range(1, 6)), NOON)

    assert processor.heard == [{LEFT: [0, 1], RIGHT: [0]}, {RIGHT: [1, 2, 3, 4, 5]}]


class Listening(Counting):
    """It remembers the offsets that it was given together."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[dict[Topic, list[int]]] = []

    def handle(self, state: State, batches: Sequence[Batch]) -> Iterable[Output]:
        self.heard.append({b.topic: [record.offset for record in b.records] for b in batches})
        return super().handle(state, batches)


class Rejecting:
    """Its decoders refuse everything, each in its own way."""

    stage = "rejecting"

    def __init__(self) -> None:
        self.sources: dict[Topic, Callable[[bytes], object]] = {
            LEFT: EVENT.decode,
            RIGHT: msgspec.msgpack.Decoder(Count).decode,
            EVIDENCE: dict[bytes, object]().__getitem__,
        }

    def handle(self, state: State, batches: Sequence[Batch]) -> Iterable[Output]:
        raise AssertionError("nothing could be decoded")


@pytest.mark.parametrize("topic", [LEFT, RIGHT])
def test_what_a_codec_refuses_is_undecodable_and_not_quoted(topic: Topic) -> None:
    """msgspec's errors quote values, which may be personal."""
    fold = PartitionFold(Rejecting(), 0, DictStore())

    fold.fold(topic, records(0, value=b"\xa3ada"), NOON)

    letter = letter_of(fold.seal().outputs[0])
    assert letter.reason == "undecodable"
    assert "ada" not in letter.detail


def test_any_other_error_of_a_decoder_is_ours_and_goes_through() -> None:
    fold = PartitionFold(Rejecting(), 0, DictStore())

    with pytest.raises(KeyError):
        fold.fold(EVIDENCE, records(0), NOON)


def a_batch(record: Record) -> Batch:
    return Batch(LEFT, 2, [record], NOON)


def test_a_dead_letter_names_its_origin_and_is_keyed_by_source() -> None:
    record = Record(7, b"shop/nid", None, NOON, b"raw")

    output = dead_letter("resolve", a_batch(record), record, "stale", "too old", source="web")

    letter = letter_of(output)
    assert (output.topic, output.key) == (DEAD_LETTERS, topic_key("shop", "web"))
    assert (letter.origin.topic, letter.origin.partition, letter.origin.offset) == (LEFT.name, 2, 7)
    assert (letter.value, letter.key, letter.failed_at) == (b"raw", b"shop/nid", NOON)


@pytest.mark.parametrize("key", [None, b"", b"no-slash", b"/nid", b"\xff/nid"])
def test_a_dead_letter_without_a_readable_workspace_says_unknown(key: bytes | None) -> None:
    record = Record(7, key, None, NOON, b"raw")

    letter = letter_of(dead_letter("resolve", a_batch(record), record, "stale"))

    assert (letter.workspace, letter.key) == ("unknown", key)


def test_a_dead_letter_of_a_huge_record_still_fits_a_record() -> None:
    record = Record(7, b"shop/nid", None, NOON, b"x" * 1_000_000)

    output = dead_letter("resolve", a_batch(record), record, "stale")

    assert len(output.value or b"") < 1_000_000
    assert letter_of(output).detail == "(first 900000 of 1000000 bytes)"


def test_a_struct_table_gives_back_what_it_got() -> None:
    table = struct_table("count", Count)

    assert table.decode(table.encode(Count(1, 2))) == Count(1, 2)
