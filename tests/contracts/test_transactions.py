"""Over how many transactions does a worker on Kafka share its input out?"""

from __future__ import annotations

import pytest

from support.counting import COUNTED, LEFT
from support.delivery import CountingOnKafka

pytestmark = pytest.mark.integration


def test_a_backlog_is_one_transaction_as_long_as_it_fits_into_a_hand(
    pipeline: CountingOnKafka,
) -> None:
    """More than a worker is given at once, so that what it has first waits for the rest."""
    events = 3_000
    for number in range(events):
        pipeline.produce(LEFT, b"default/k", b"%d" % number)

    pipeline.settle()

    offsets = [record.offset for record in pipeline.records(COUNTED)]
    # The marker of a transaction takes an offset.
    assert offsets == list(range(events))
