"""Does ClickHouse say of every customer what the file says? Pure comparisons and their queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from clickhouse_connect.driver.client import Client

from customeros.ops.demo.datasets import CDNOW_CURRENCY, Totals

# One row for each user id of the purchase history, with what its customer bought.
_TOTALS: Final = f"""
    SELECT i.value, c.orders, c.placed['{CDNOW_CURRENCY}']
    FROM identifiers AS i
    INNER JOIN customers AS c USING (workspace, customer_id)
    WHERE i.type = 'user_id' AND startsWith(i.value, 'cdnow-')
"""  # noqa: S608 - a constant
_COUNTS: Final = """
    SELECT
        (SELECT count() FROM events) AS events,
        (SELECT uniqExact(source, event_id) FROM events) AS distinct_events,
        (SELECT count() FROM customers) AS customers,
        (SELECT sum(events) FROM customers) AS folded,
        (SELECT count() FROM identifiers) AS identifiers,
        (SELECT count() FROM dead_letters) AS dead_letters
"""


def stored_totals(client: Client) -> dict[str, Totals]:
    """User id to orders and cents, as an analyst would ask for them."""
    return {
        user: Totals(orders, cents) for user, orders, cents in client.query(_TOTALS).result_rows
    }


def stored_counts(client: Client) -> dict[str, int]:
    """What is in ClickHouse, by name; `folded` is how many events the customer states count."""
    (row,) = client.query(_COUNTS).named_results()
    return {name: int(count) for name, count in row.items()}


def differences(expected: Mapping[str, Totals], found: Mapping[str, Totals]) -> list[str]:
    """The users of whom the two disagree, missing and surplus ones included."""
    return sorted(
        user for user in expected.keys() | found.keys() if expected.get(user) != found.get(user)
    )


def best_customer(totals: Mapping[str, Totals]) -> str:
    """The user id that spent most; of equals the first by name."""
    return min(totals, key=lambda user: (-totals[user].cents, user))
