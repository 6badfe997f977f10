"""Which generation's tables do people see, and how do those of one that is done with go?"""

from __future__ import annotations

from customeros.runtime.settings import Settings
from customeros.schemas.topics import FIRST_GENERATION
from customeros.sinks.clickhouse.inserts import connect, create_database, meaning
from customeros.sinks.clickhouse.tables import TABLES, showing, statements


def publish(settings: Settings) -> None:
    """
    Let the views of `clickhouse.database` show this generation; again is harmless.

    Each view changes at once, and all within a moment; a query that runs sees what it began with.

    Raises:
        Misconfigured: the server refuses the user.
        Unavailable: it does not answer.
    """
    public, own = settings.clickhouse.database, settings.database
    with meaning(), connect(settings) as server:
        server.command(create_database(public))
        if settings.build == FIRST_GENERATION:
            # Its tables stand beside the views.
            server.database = public
            for statement in statements():
                server.command(statement)
        else:
            for statement in showing(public, own):
                server.command(statement)


def discard(settings: Settings) -> None:
    """
    Drop this generation's tables; people must see those of another. Again is harmless.

    Raises:
        Misconfigured: the server refuses the user.
        Unavailable: it does not answer.
    """
    public, own = settings.clickhouse.database, settings.database
    with meaning(), connect(settings) as server:
        if own != public:
            server.command(f"DROP DATABASE IF EXISTS {own} SYNC")
            return
        for table in TABLES:
            server.command(f"DROP TABLE IF EXISTS {public}.{table.name} SYNC")
