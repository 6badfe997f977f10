"""Where things are: settings from environment variables `CUSTOMEROS_<SYSTEM>__<NAME>`."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from customeros.runtime.begun import begun_with
from customeros.runtime.errors import Misconfigured
from customeros.runtime.generation import in_force
from customeros.schemas.topics import FIRST_GENERATION, generation_prefix

LOOPBACK = "127.0.0.1"
GENERATION_VARIABLE = "CUSTOMEROS_GENERATION"
# A rebalance may wait for the sessions of those that died one after the other.
_PATIENCE_SESSIONS = 6


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Kafka(_Section):
    bootstrap: str | None = Field(None, description="host:port[,…]; unset: the embedded broker")
    port: int = Field(9092, gt=0, lt=65536, description="of the embedded broker")
    partitions: int = Field(
        4,
        gt=0,
        le=4096,
        description="of every partitioned topic; the embedded broker goes on with those it began "
        "with, by default 2",
    )
    replication_factor: int = Field(1, gt=0, description="of every topic; 3 in production")
    topic_prefix: str = Field("", pattern=r"^([a-z0-9-]+\.)*$", description="as in `blue.`")
    events_days: int | None = Field(
        None,
        ge=0,
        description="events stay so long; 0: for ever; unset: 30, or what the topics have already",
    )
    heap_mb: int = Field(384, gt=127, description="heap of the embedded broker, MB")
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: str | None = None

    @field_validator("topic_prefix")
    @classmethod
    def _is_no_generation(cls, value: str) -> str:
        if re.search(r"(^|\.)g\d+\.", value):
            raise ValueError("g and a number are the mark of a generation: choose another")
        return value


class ClickHouse(_Section):
    url: str | None = Field(None, description="http://host:port; unset: the embedded engine")
    port: int = Field(8123, gt=0, lt=65536, description="of the embedded engine")
    user: str = "default"
    password: SecretStr = SecretStr("")
    reader_password: SecretStr = Field(
        SecretStr(""), description="of the embedded engine's read-only user `reader`; empty: none"
    )
    database: str = Field("customeros", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    memory_mb: int = Field(
        2_048, gt=511, description="of the embedded engine; a query that needs more is refused"
    )
    batch_rows: int = Field(10_000, gt=0, description="rows gathered before one insert")
    flush_seconds: float = Field(0.2, gt=0, description="how long an event waits for its batch")


class Collector(_Section):
    host: str = LOOPBACK
    port: int = Field(8700, gt=0, lt=65536)
    max_inflight_mb: int = Field(64, gt=0, description="accepted, not yet acknowledged; more: 429")
    ack_seconds: float = Field(5.0, gt=0, description="the broker's time to acknowledge; then 503")


class Api(_Section):
    host: str = LOOPBACK
    port: int = Field(8800, gt=0, lt=65536)


class Registry(_Section):
    url: str | None = Field(None, description="a schema registry; unset: the one the API serves")


class Worker(_Section):
    commit_seconds: float = Field(0.05, gt=0, description="a transaction gathers at most this long")
    session_seconds: float = Field(
        10.0, ge=6, description="without heartbeat, then a worker is out"
    )
    dedupe_hours: int = Field(24, ge=1, description="an event id is known at least this long")
    cache_mb: int = Field(64, gt=0, description="memory of all stores of one process together, MB")
    stall_seconds: float | None = Field(
        None,
        gt=0,
        description="records wait and nothing is done: start again; unset: 6 sessions",
    )

    @property
    def patience_seconds(self) -> float:
        """For so long a process may do nothing while records wait for it."""
        return self.stall_seconds or self.session_seconds * _PATIENCE_SESSIONS


class Metrics(_Section):
    host: str = LOOPBACK
    port: int = Field(0, ge=0, lt=65536, description="serve /metrics here; 0: do not")


class Secrets(_Section):
    """Unset: generated once under `home`; processes on several machines must be given them."""

    master_key: SecretStr | None = Field(None, description="identifier keys are derived from it")
    write_key: SecretStr | None = Field(None, description="of the default source `demo`")
    api_token: SecretStr | None = Field(None, description="bearer token of the API")


class Logs(_Section):
    format: str = Field("json", pattern="^(json|console)$")
    level: str = Field("info", pattern="^(debug|info|warning|error)$")


class Settings(BaseSettings):
    """One per process, read once, handed down."""

    model_config = SettingsConfigDict(
        env_prefix="CUSTOMEROS_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    home: Path = Field(Path(".customeros"), description="data, logs, pid files, generated secrets")
    config: Path | None = Field(
        None, description="workspaces, sources, rules; unset: customeros.toml, where there is one"
    )
    generation: int | None = Field(
        None, ge=1, description="of all that is derived; unset: the one in force in this home"
    )
    kafka: Kafka = Kafka()
    clickhouse: ClickHouse = ClickHouse()
    collector: Collector = Collector()
    api: Api = Api()
    registry: Registry = Registry()
    worker: Worker = Worker()
    metrics: Metrics = Metrics()
    logs: Logs = Logs()
    secrets: Secrets = Secrets()

    def of(self, generation: int) -> Settings:
        """The same for another generation."""
        return self.model_copy(update={"generation": generation})

    @property
    def bootstrap(self) -> str:
        """The brokers to talk to, embedded or not."""
        return self.kafka.bootstrap or f"{LOOPBACK}:{self.kafka.port}"

    @property
    def clickhouse_url(self) -> str:
        """The ClickHouse HTTP endpoint to talk to, embedded or not."""
        return self.clickhouse.url or f"http://{LOOPBACK}:{self.clickhouse.port}"

    @property
    def build(self) -> int:
        """The generation of all that is derived from the events; the first is 1."""
        return self.generation or FIRST_GENERATION

    @property
    def prefix(self) -> str:
        """In front of the names of groups, transactions and stores: two prefixes share nothing."""
        return self.kafka.topic_prefix + generation_prefix(self.build)

    @property
    def database(self) -> str:
        """Where this generation's tables are; people query `clickhouse.database` (see sinks)."""
        name, build = self.clickhouse.database, self.build
        return name if build == FIRST_GENERATION else f"{name}_g{build}"

    @cached_property
    def kafka_client(self) -> dict[str, str]:
        """What every librdkafka client of this process starts from."""
        kafka, password = self.kafka, self.kafka.sasl_password
        found = {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": kafka.security_protocol,
            "sasl.mechanism": kafka.sasl_mechanism,
            "sasl.username": kafka.sasl_username,
            "sasl.password": None if password is None else password.get_secret_value(),
            "ssl.ca.location": kafka.ssl_ca_location,
        }
        return {name: value for name, value in found.items() if value is not None}


def read_settings() -> Settings:
    """
    Read the environment, and from the home which generation is in force there, and with how many
    partitions its broker began.

    Raises:
        Misconfigured: names each variable that is wrong and what it must be.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        raise Misconfigured(
            "; ".join(_sentence(e["loc"], e["msg"]) for e in error.errors())
        ) from None
    kafka = settings.kafka
    if kafka.bootstrap is None and "partitions" not in kafka.model_fields_set:
        kafka = kafka.model_copy(update={"partitions": begun_with(settings.home)})
        settings = settings.model_copy(update={"kafka": kafka})
    return settings.of(settings.generation or in_force(settings.home))


def _sentence(location: tuple[int | str, ...], problem: str) -> str:
    return f"CUSTOMEROS_{'__'.join(str(part).upper() for part in location)}: {problem}"
