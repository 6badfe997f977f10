"""Questions to ClickHouse, from any thread; what passes is told from what does not."""

from __future__ import annotations

import threading
from typing import Any, Final

from clickhouse_connect.driver.exceptions import Error

from customeros.runtime.clickhouse import connect
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Settings
from customeros.serving.render import Row

_CONNECT_SECONDS: Final = 2
_ANSWER_SECONDS: Final = 10
# ClickHouse's codes for what passes: a table or database that the sink has not made yet, too
# many queries, no memory, a timeout. None: the server was not reached.
_PASSING: Final = frozenset({None, 60, 81, 159, 202, 209, 210, 241, 745, 762})


class ClickHouseReader:
    """Connects at the first question, and anew after a failure."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connecting = threading.Lock()
        self._client: Any = None

    def rows(self, query: str, parameters: dict[str, Any]) -> list[Row]:
        """
        What *query* answers, by column; blocks.

        Raises:
            Unavailable: no answer; try again.
        """
        try:
            return list(self._connected().query(query, parameters=parameters).named_results())
        except Error as error:
            if error.code in _PASSING:
                raise Unavailable("clickhouse") from error
            raise

    def _connected(self) -> Any:
        with self._connecting:
            if self._client is None:
                self._client = connect(
                    self._settings,
                    self._settings.database,
                    connect_timeout=_CONNECT_SECONDS,
                    send_receive_timeout=_ANSWER_SECONDS,
                    query_limit=0,
                )
            return self._client
