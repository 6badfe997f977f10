"""A ClickHouse client with what the settings say of the server."""

from __future__ import annotations

from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from customeros.runtime.settings import Settings


def connect(settings: Settings, database: str | None = None, **further: Any) -> Client:
    """
    A client of *database*, for any number of threads; its errors are the driver's.

    Args:
        further: of the driver, as in `connect_timeout=2` (s).
    """
    return clickhouse_connect.get_client(
        dsn=settings.clickhouse_url,
        username=settings.clickhouse.user,
        password=settings.clickhouse.password.get_secret_value(),
        database=database,
        autogenerate_session_id=False,
        **further,
    )
