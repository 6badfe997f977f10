"""Customers and their events in ClickHouse, exactly once in effect."""

from customeros.sinks.clickhouse.sink import run_sink

__all__ = ["run_sink"]
