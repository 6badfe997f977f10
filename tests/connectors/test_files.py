"""Rows of files become tracking calls; sent twice, they count once."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path

import pytest

from customeros.connectors.files import FileMapping, fill, read_rows, send
from customeros.connectors.tracking import TrackingClient
from customeros.runtime.errors import Misconfigured
from customeros.runtime.settings import LOOPBACK
from customeros.schemas.event import Direction, Money
from support.collecting import WRITE_KEY, RememberingPublisher, a_collector, serving

_EXAMPLES = Path(__file__).parents[2] / "examples"

_PURCHASES = FileMapping(
    name="cdnow",
    delimiter=" ",
    call={
        "type": "track",
        "event": "Order Completed",
        "userId": "$customer_id",
        "timestamp": "$date",
        "properties": {
            "total": "$dollar_value",
            "currency": "USD",
            "products": [{"product_id": "cd", "quantity": "$number_of_cds"}],
        },
    },
)
_CHATS = FileMapping(
    name="chitchat",
    format="jsonl",
    each="messages",
    call={
        "type": "track",
        "event": "Message Sent",
        "userId": "$sender",
        "timestamp": "$timestamp",
        "properties": {"channel": "chat", "conversation_id": "$conversation", "text": "$text"},
    },
)


def test_a_row_fills_the_places_that_name_its_columns() -> None:
    template = {"a": "$x", "b": ["$y.z", 1], "c": {"d": "$missing", "e": None}, "f": "text $x"}

    filled = fill(template, {"x": "1", "y": {"z": True}, "w": 5})

    assert filled == {"a": "1", "b": [True, 1], "c": {"e": None}, "f": "text $x"}


def test_purchases_become_orders_to_the_cent(tmp_path: Path) -> None:
    """The first rows of the real file, with its spaces and its dates."""
    path = tmp_path / "cdnow.txt"
    with gzip.open(_EXAMPLES / "cdnow_master.txt.gz", "rt") as real:
        path.write_text("".join(islice(real, 4)))
    publisher, told = RememberingPublisher(), list[int]()

    with serving(a_collector(publisher)) as port:
        url = f"http://{LOOPBACK}:{port}"
        with TrackingClient(url, WRITE_KEY) as client:
            assert send(path, _PURCHASES, client, progress=told.append) == 3

    assert told == [3]
    orders = [event.order for event in publisher.events if event.order]
    assert [order.total for order in orders] == [
        Money(1177, "USD"),
        Money(1200, "USD"),
        Money(7700, "USD"),
    ]
    assert [order.lines[0].quantity for order in orders] == [1, 1, 5]
    assert publisher.events[0].occurred_at == 852_076_800_000  # 1 January 1997
    assert [event.event_id for event in publisher.events] == ["cdnow-1", "cdnow-2", "cdnow-3"]


def test_chats_become_messages_of_both_people(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl.gz"
    with gzip.open(_EXAMPLES / "chitchat_1200.jsonl.gz", "rt") as real:
        first = next(real)
    path.write_bytes(gzip.compress(first.encode()))
    publisher = RememberingPublisher()

    with serving(a_collector(publisher)) as port:
        url = f"http://{LOOPBACK}:{port}"
        with TrackingClient(url, WRITE_KEY) as client:
            rows = send(path, _CHATS, client)

    said = [message for turn in json.loads(first)["messages"] for message in turn]
    assert rows == len(said) == len(publisher.events)
    assert {
        event.personal.identifiers[0].value for event in publisher.events if event.personal
    } == {message["sender"] for message in said}
    for event, message in zip(publisher.events, said, strict=True):
        assert event.personal is not None
        assert event.personal.text == message["text"]
        assert event.message is not None
        assert event.message.direction is Direction.INBOUND
        assert event.message.conversation_id == json.loads(first)["conversation"]


def test_the_whole_example_files_are_read() -> None:
    purchases = sum(1 for _ in read_rows(_EXAMPLES / "cdnow_master.txt.gz", _PURCHASES))

    assert purchases == 69_659


def test_sending_a_file_again_gives_the_same_ids(tmp_path: Path) -> None:
    """So that resolve drops what it knows, after an interruption or by mistake."""
    path = tmp_path / "people.csv"
    path.write_text('\ufeffid,name\n1,"Ada, King"\n\n2,\n')
    mapping = FileMapping(
        name="people", call={"type": "identify", "userId": "$id", "traits": {"name": "$name"}}
    )
    publisher = RememberingPublisher()

    with serving(a_collector(publisher)) as port:
        for _ in range(2):
            with TrackingClient(f"http://{LOOPBACK}:{port}", WRITE_KEY) as client:
                send(path, mapping, client)

    first, second = publisher.events[:2], publisher.events[2:]
    assert [event.event_id for event in first] == [event.event_id for event in second]
    assert [event.personal.traits for event in first if event.personal] == [
        {"name": '"Ada, King"'},
        {},
    ]


@pytest.mark.parametrize(
    ("content", "mapping", "sentence"),
    [
        ("a,b\n1\n", {"format": "csv"}, "row 2 has 1 columns, the header 2"),
        ('a\n"1\n', {"format": "csv"}, "not readable as csv"),
        ("{}\n[1]\n", {"format": "jsonl"}, ":2: not a JSON object"),
        ("", {"format": "xml"}, "neither csv nor jsonl"),
    ],
)
def test_a_file_of_another_format_is_told_with_its_line(
    tmp_path: Path, content: str, mapping: dict[str, str], sentence: str
) -> None:
    path = tmp_path / "file"
    path.write_text(content)

    with pytest.raises(Misconfigured, match=sentence):
        list(read_rows(path, FileMapping(name="x", call={}, **mapping)))


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_text("")

    assert list(read_rows(path, FileMapping(name="x", call={}))) == []
