"""What the worker and its connector are told, as files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from bench.peers.arguments import FIRST_FETCH, SESSION_TIMEOUT_SECONDS, Arguments

# Of the records of one poll the sink makes one batch.
BATCH_RECORDS: Final = 5_000
TASKS: Final = 2
_LOG4J: Final = f"""\
<Configuration status="ERROR">
  <Appenders>
    <Console name="console"><PatternLayout pattern="%d{{ISO8601}} %p %m (%c)%n"/></Console>
    <Console name="begin"><PatternLayout pattern="{FIRST_FETCH} %d{{UNIX_MILLIS}}%n"/></Console>
  </Appenders>
  <Loggers>
    <!-- It says from where a partition is read, at the moment before it is. -->
    <Logger name="org.apache.kafka.clients.consumer.internals.SubscriptionState" level="info" additivity="false">
      <AppenderRef ref="begin"/>
    </Logger>
    <Root level="warn"><AppenderRef ref="console"/></Root>
  </Loggers>
</Configuration>
"""


def _field(name: str, type_: str, *, optional: bool = False) -> dict[str, Any]:
    return {"field": name, "type": type_, "optional": optional}


# The topic holds plain JSON; this is its contract as Kafka Connect writes it. Fields without a name here are left out.
SCHEMA: Final[Mapping[str, Any]] = {
    "type": "struct",
    "fields": [
        _field("org_id", "int64"),
        _field("aggregate_id", "int64"),
        _field("type", "string"),
        _field("version", "int32"),
        _field("property_id", "int64"),
        _field("occurred_at", "string"),
        _field("recorded_by", "struct") | {"fields": [_field("user_id", "int64")]},
        _field("data", "struct")
        | {
            "fields": [
                _field("amount_cents", "int64"),
                _field("payment_mode", "string"),
                _field("status", "string"),
                *(
                    _field(name, "string", optional=True)
                    for name in ("currency", "category", "description", "bank_reference", "source")
                ),
            ]
        },
    ],
}


def worker(given: Arguments, plugins: Path) -> dict[str, str]:
    """The properties of a standalone worker."""
    return {
        "bootstrap.servers": given.bootstrap,
        "listeners": "http://127.0.0.1:0",
        "plugin.path": str(plugins),
        "plugin.discovery": "service_load",
        "offset.storage.file.filename": str(given.state_dir / "offsets"),
        "offset.flush.interval.ms": "5000",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "true",
        "value.converter.schema.content": json.dumps(SCHEMA),
        "consumer.max.poll.records": str(BATCH_RECORDS),
        "consumer.max.partition.fetch.bytes": str(4 << 20),
        "consumer.session.timeout.ms": str(SESSION_TIMEOUT_SECONDS * 1000),
        "consumer.heartbeat.interval.ms": "2000",
    }


def connector(given: Arguments) -> dict[str, str]:
    """The properties of the sink: upserts by key, one statement over arrays for each batch."""
    parts = urlsplit(given.database_url)
    return {
        "name": given.group,
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": str(TASKS),
        "topics": given.topic,
        "consumer.override.group.id": given.group,
        "connection.url": f"jdbc:postgresql://{parts.hostname}:{parts.port or 5432}{parts.path}",
        "connection.username": unquote(parts.username or ""),
        "connection.password": unquote(parts.password or ""),
        "collection.name.format": f"{given.schema}.rows",
        "insert.mode": "upsert",
        "primary.key.mode": "record_value",
        "primary.key.fields": "org_id,aggregate_id",
        "schema.evolution": "none",
        "batch.size": str(BATCH_RECORDS),
        "dialect.postgres.unnest.insert.enabled": "true",
        # Declared an `io.debezium.time.ZonedTimestamp`, it would be stored without its offset, hours away, by the
        # statement over arrays.
        "transforms": "instant,flat",
        "transforms.instant.type": "org.apache.kafka.connect.transforms.TimestampConverter$Value",
        "transforms.instant.field": "occurred_at",
        "transforms.instant.format": "yyyy-MM-dd'T'HH:mm:ssXXX",
        "transforms.instant.target.type": "Timestamp",
        "transforms.flat.type": "org.apache.kafka.connect.transforms.Flatten$Value",
        "transforms.flat.delimiter": "_",
    }


def write(given: Arguments, sink_jars: Path) -> tuple[Path, Path, Path]:
    """Write the files; returns those of the logging, of the worker and of the connector."""
    plugins = given.state_dir / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    plugin = plugins / "debezium"
    if not plugin.is_symlink():
        plugin.symlink_to(sink_jars)
    logging = given.state_dir / "log4j2.xml"
    logging.write_text(_LOG4J)
    files = []
    for name, properties in (("worker", worker(given, plugins)), ("connector", connector(given))):
        path = given.state_dir / f"{name}.properties"
        path.touch(mode=0o600)  # it holds a password
        path.write_text("".join(f"{key}={escaped(value)}\n" for key, value in properties.items()))
        files.append(path)
    return logging, files[0], files[1]


def escaped(value: str) -> str:
    """As the value of a Java property."""
    return value.replace("\\", "\\\\").replace("\n", "\\n")
