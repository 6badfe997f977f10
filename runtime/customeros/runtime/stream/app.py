"""With which settings does Faust run a stage?"""

from __future__ import annotations

from typing import Final

import faust

from customeros.runtime.clients import group_id, ssl_context
from customeros.runtime.settings import Settings
from customeros.runtime.stream.faust_batches import BatchApp

_POLL_RECORDS: Final = 2_000
_FETCH_BYTES: Final = 1 << 20  # per partition; one such piece of each is kept in a backlog
_HEARTBEATS_PER_SESSION: Final = 3.5


def build_app(stage: str, settings: Settings) -> BatchApp:
    """The app of *stage*, without topics and agents; all that Faust would do by itself is off."""
    worker = settings.worker
    return BatchApp(
        group_id(settings, stage),
        broker=[f"kafka://{host}" for host in settings.bootstrap.split(",")],
        broker_credentials=_credentials(settings),
        store="memory://",
        datadir=settings.home / "state" / "faust",
        topic_partitions=settings.kafka.partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        broker_session_timeout=worker.session_seconds,
        broker_heartbeat_interval=worker.session_seconds / _HEARTBEATS_PER_SESSION,
        broker_commit_interval=0.5,
        broker_max_poll_records=_POLL_RECORDS,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=_FETCH_BYTES,
        stream_wait_empty=False,
        table_standby_replicas=0,
        worker_redirect_stdouts=False,
    )


def _credentials(settings: Settings) -> faust.types.auth.CredentialsT | None:
    kafka = settings.kafka
    context = ssl_context(settings)
    if kafka.security_protocol.startswith("SASL"):
        password = kafka.sasl_password
        return faust.SASLCredentials(
            mechanism=kafka.sasl_mechanism,
            username=kafka.sasl_username,
            password=password.get_secret_value() if password else None,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None
