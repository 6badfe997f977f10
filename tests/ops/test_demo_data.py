"""What the demo sends is the example files, whole, and the truth it compares with is theirs."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from customeros.ops.demo.datasets import (
    chat_calls,
    expected_totals,
    purchase_call,
    purchases,
    recorded_requests,
)
from customeros.ops.demo.story import story

EXAMPLES = Path(__file__).parents[2] / "examples"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_every_purchase_becomes_one_order_with_its_cents() -> None:
    """The published figures of the set: 69,659 purchases of 23,570 customers."""
    rows = list(purchases(EXAMPLES))
    calls = [purchase_call(row) for row in rows]

    assert len(rows) == 69_659
    assert len({call["messageId"] for call in calls}) == 69_659
    assert sum(row.cents for row in rows) == sum(
        round(call["properties"]["total"] * 100) for call in calls
    )


def test_the_truth_is_the_group_by_of_the_file() -> None:
    truth = expected_totals(EXAMPLES)

    assert len(truth) == 23_570
    assert truth["cdnow-00002"] == (2, 8900)
    assert sum(t.orders for t in truth.values()) == 69_659


def test_every_chat_message_has_an_id_of_its_own() -> None:
    calls = list(chat_calls(EXAMPLES))

    assert len(calls) == 44_721
    assert len({call["messageId"] for call in calls}) == len(calls)


def test_recorded_requests_carry_the_write_key_of_this_installation() -> None:
    requests = list(recorded_requests(EXAMPLES, "wk_mine"))

    assert len(requests) > 20
    assert all(b"WRITEKEY" not in request.body for request in requests)


def test_the_story_is_told_in_order_and_in_the_past() -> None:
    calls = list(story(NOW))

    times = [call["timestamp"] for call in calls]
    assert times == sorted(times)
    assert datetime.fromisoformat(times[-1]) < NOW
    assert datetime.fromisoformat(times[0]) > NOW - timedelta(days=30)


def test_the_story_uses_every_way_the_reader_is_known() -> None:
    counted = Counter(call.get("event") or call["type"] for call in story(NOW))

    assert counted["page"] == 2
    assert counted["identify"] == 4
    assert counted["Order Completed"] == counted["Order Refunded"] == 1
