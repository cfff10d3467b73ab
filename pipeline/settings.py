"""Every setting in one place, read once, validated at start.

A setting `rows_max` of the section `batch` is the variable FOLIO_BATCH_ROWS_MAX, and `rows_max` under `[batch]` in the
file that FOLIO_SETTINGS_FILE names. The environment counts most, then the file, the profile (FOLIO_PROFILE), the
default. Each component is handed its own section, never the whole. Sections are frozen; durations carry their unit in
the name.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pipeline.addresses import Address, checked_broker, checked_cache, checked_database
from pipeline.errors import SettingsRefused
from pipeline.masking import MASK, Secret, masked
from pipeline.replica_addresses import checked_ranges, checked_replicas
from pipeline.settings_layers import FROM_FILE, PREFIX, Given, Key, Kind, given_values, variable
from pipeline.settings_section import Section
from pipeline.settings_serving import ApiSettings, CacheSettings, CdnSettings, RealtimeSettings, ResilienceSettings

# After this long at most, nothing of a worker that vanished holds a lane any more.
TAKEOVER_SECONDS_MAX = 60.0


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone, such as Asia/Kolkata") from error
    return name


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


class StackSettings(Section):
    """The local stack."""

    dir: Path = Field(Path(".stack"), description="Folder that holds everything of the local stack.")
    maven_url: str | None = Field(None, description="A Maven mirror for the first download of the broker's jars.")
    replicas: int | None = Field(
        None, ge=0, le=4, description="Standbys that follow its database; as many as there were when unset."
    )


class DatabaseSettings(Section):
    """PostgreSQL. The timeouts together stay under the takeover bound of 60 s."""

    url: Annotated[str | None, Address(), AfterValidator(checked_database)] = Field(
        None, description="Where PostgreSQL is; the local stack's when unset."
    )
    role: Annotated[str | None, BeforeValidator(_empty_is_none)] = Field(
        "folio_writer", description="Role that workers switch to after connecting; empty: they stay the login."
    )
    connect_timeout_seconds: float = Field(5, gt=0, le=15, description="Bound on one attempt to connect.")
    lock_timeout_seconds: float = Field(10, gt=0, le=15, description="Bound on one wait for a lock.")
    transaction_timeout_seconds: float = Field(30, gt=0, le=40, description="Bound on one transaction.")
    idle_in_transaction_timeout_seconds: float = Field(10, gt=0, le=15, description="Bound on our own pauses.")

    @model_validator(mode="after")
    def _below_the_takeover_bound(self) -> Self:
        total = (
            self.connect_timeout_seconds
            + self.lock_timeout_seconds
            + self.transaction_timeout_seconds
            + self.idle_in_transaction_timeout_seconds
        )
        if total > TAKEOVER_SECONDS_MAX:
            raise ValueError(f"the four timeouts add up to {total:g} s; at most {TAKEOVER_SECONDS_MAX:g} s in all")
        return self


class ReplicaSettings(Section):
    """The database's replicas, which reads go to (docs/replicas.md)."""

    urls: Annotated[str | None, Address(), AfterValidator(checked_replicas)] = Field(
        None,
        description="Where they are: [POOL=]URL[,[POOL=]URL…]; unset: the local stack's, if the database is.",
    )
    count: int | None = Field(None, ge=0, description="How many there must be; not asked when unset.")
    org_ranges: Annotated[str | None, AfterValidator(checked_ranges)] = Field(
        None,
        description="Which organisations read from which pool: FIRST-LAST=POOL,…,FIRST-=POOL; all from all when unset.",
    )
    health_check_interval_seconds: float = Field(30, ge=0.1, le=300, description="Between two looks at each server.")
    lag_warn_seconds: float = Field(5, gt=0, description="Lag that is warned of.")
    lag_critical_seconds: float = Field(10, gt=0, description="Lag from which a replica is not used.")
    answer_timeout_seconds: float = Field(
        1, gt=0, le=15, description="Bound on connecting, and on the first answer of a server; then another is asked."
    )
    catch_up_ms: float = Field(
        20, ge=0, le=1_000, description="How long a read waits for a replica to have what its caller wrote."
    )

    @model_validator(mode="after")
    def _warned_of_first(self) -> Self:
        if self.lag_warn_seconds > self.lag_critical_seconds:
            raise ValueError("lag_warn_seconds must not be above lag_critical_seconds")
        return self


class PoolSettings(Section):
    """Connections of readers, to each server of its own."""

    primary_min: int = Field(5, ge=0, le=1_000, description="Connections to the primary that are opened first.")
    primary_max: int = Field(50, ge=1, le=1_000, description="Connections to the primary at most.")
    replica_min: int = Field(10, ge=0, le=1_000, description="Connections to each replica that are opened first.")
    replica_max: int = Field(100, ge=1, le=1_000, description="Connections to each replica at most.")
    idle_seconds: float = Field(600, gt=0, description="A connection that nobody used for so long is closed.")
    lifetime_seconds: float = Field(3_600, gt=0, description="A connection this old is closed after its read.")
    acquire_timeout_seconds: float = Field(2, gt=0, le=30, description="Bound on waiting for a connection.")
    statement_timeout_seconds: float = Field(5, gt=0, le=300, description="Bound on one statement of a read.")
    statement_cache_size: int = Field(
        100, ge=0, le=1_000, description="Prepared statements of a connection; 0 behind a PgBouncer older than 1.21."
    )
    role: str = Field("folio_reader", min_length=1, description="Role that a read switches to, within its transaction.")

    @model_validator(mode="after")
    def _least_below_most(self) -> Self:
        if self.primary_min > self.primary_max or self.replica_min > self.replica_max:
            raise ValueError("a pool's min must not be above its max")
        return self


class KafkaSettings(Section):
    """The broker."""

    bootstrap: Annotated[str | None, Address(), AfterValidator(checked_broker)] = Field(
        None,
        description="host:port[,host:port], or a URL with TLS and a login (docs/security.md); "
        "the local stack's when unset.",
    )
    group: str = Field("folio-stream", min_length=1, description="Consumer group of the workers.")
    topic_prefix: str = Field(
        "", pattern="^[a-zA-Z0-9._-]{0,100}$", description="Put before every topic's name: one broker, many streams."
    )
    lanes: int = Field(8, ge=1, le=1024, description="Partitions of each topic when it is created.")
    replication_factor: int = Field(1, ge=1, description="Replicas of each topic when it is created.")
    static_membership: bool = Field(
        False, description="A worker that is back within the session timeout keeps its lanes; needs FOLIO_WORKER_NAME."
    )
    session_timeout_seconds: float = Field(20, ge=6, le=45, description="Silence after which the group evicts.")
    fetch_partition_bytes_max: int = Field(1 << 20, ge=1 << 16, description="Bytes of one partition in a fetch.")
    request_timeout_seconds: float = Field(30, gt=0, description="Bound on one request to the broker.")


class RedisSettings(Section):
    """The cache."""

    url: Annotated[str | None, Address(), AfterValidator(checked_cache)] = Field(
        None, description="Where Redis is; the local stack's when unset."
    )
    timeout_seconds: float = Field(2, gt=0, description="Bound on one command.")
    value_ttl_seconds: int = Field(120, ge=1, description="Life of a cached balance.")
    invalidation_groups_max: int = Field(500, ge=1, description="Properties invalidated in one call.")


class RuleSettings(Section):
    """By what records are judged. Recorded with each lane, so that a verdict can be proved later."""

    # One late event may reach every later day of the two properties that it moves between, and cannot be halved. Two
    # whole centuries of days take a worker to 260 MiB (docs/performance.md); a longer past would have no bound.
    occurred_past_max_days: int = Field(
        3660, ge=1, le=36_525, description="How far occurred_at may precede the append time."
    )
    occurred_future_max_hours: int = Field(24, ge=0, description="How far occurred_at may follow the append time.")
    default_currency: str = Field("INR", pattern="^[A-Z]{3}$", description="Currency of a self-registered property.")
    default_time_zone: Annotated[str, AfterValidator(_known_zone)] = Field(
        "Asia/Kolkata", description="Time zone of a self-registered property."
    )
    unknown_property: Literal["register", "quarantine"] = Field(
        "register", description="What becomes of a record whose property was not loaded: it registers it, or stays out."
    )

    @property
    def past_max(self) -> timedelta:
        return timedelta(days=self.occurred_past_max_days)

    @property
    def future_max(self) -> timedelta:
        return timedelta(hours=self.occurred_future_max_hours)


class PoisonSettings(Section):
    """When a lane is paused because its producer is broken; `folio resume lane` lets it go on."""

    share_max: float = Field(
        0.5, gt=0, le=1, description="More of a lane's last records than this in the dead letters pause it; 1: never."
    )
    window_records: int = Field(1_000, ge=10, le=1_000_000, description="How many last records are counted.")


class BatchSettings(Section):
    """Flow control: how much gathers, and how long it may wait."""

    rows_max: int = Field(5_000, ge=1, le=100_000, description="Records of one transaction.")
    bytes_max: int = Field(16 << 20, ge=1 << 16, description="Bytes of one transaction's records.")
    linger_ms: float = Field(50, ge=0, le=60_000, description="Least age of a batch unless a bound fills.")
    gathered_rows_max: int = Field(15_000, ge=1, description="Records held by one writer before fetching pauses.")
    gathered_bytes_max: int = Field(32 << 20, ge=1 << 16, description="Bytes held by one writer before it pauses.")
    # Two writers on the default eight lanes: while PostgreSQL works for one, Python works for the other.
    lanes_per_writer: int = Field(4, ge=0, description="Lanes that share a transaction; 0: all of a worker's.")
    # Each has a connection and bounds of its own: sixteen took a worker of 64 lanes past 300 MiB.
    writers_max: int = Field(
        4, ge=1, le=64, description="Writers of a worker; with more lanes, each owns more of them."
    )
    reached_days_max: int = Field(50_000, ge=1, description="Days that one transaction may carry late events into.")
    retention_months: int = Field(
        24, ge=1, le=1_200, description="Transactions older than this change only the balances."
    )
    unpublished_batches_max: int = Field(4, ge=1, description="Committed batches that may wait for publishing.")


class PartitionSettings(Section):
    """Monthly partitions: `folio partitions` makes them ahead, and ends those past FOLIO_BATCH_RETENTION_MONTHS."""

    months_ahead: int = Field(3, ge=1, le=120, description="Months after the present one that are made ahead.")
    # Whoever writes may stand behind a lock that is waited for: less than anybody notices, more than most batches take.
    lock_timeout_ms: int = Field(200, ge=1, le=5_000, description="Bound on one wait for a lock that writers need.")
    # With a pause of half a second to two between them: two minutes at least, longer than any transaction of a worker.
    lock_attempts: int = Field(120, ge=1, le=10_000, description="Attempts at a step whose lock was not to be had.")
    # A worker waits for a lock for ten seconds, then tries its batch again.
    step_seconds_max: float = Field(
        10, gt=0, le=3_600, description="Bound on a step that holds a lock, such as sweeping a full default partition."
    )
    archive_dir: Annotated[Path | None, BeforeValidator(_empty_is_none)] = Field(
        None, description="Folder for archives of expired months; unset: transactions are dropped without."
    )


def _only_partitioned(value: bool) -> bool:
    if not value:
        raise ValueError("there are no legacy tables to read: a switchover that finds some will allow it")
    return value


def _always_pruned(value: bool) -> bool:
    if not value:
        raise ValueError("PostgreSQL prunes every read by its own predicates: there is nothing to turn off")
    return value


def _org_list(value: str) -> str:
    if not all(each.isdecimal() and 0 < int(each) < 2**63 for each in value.split(",") if value):
        raise ValueError("organisations are named by number, such as 7,12")
    return value


class FlagSettings(Section):
    """Switches, by the names that they had on the platform before."""

    enable_partition_maintenance: bool = Field(
        True, description="Off: `folio partitions apply` refuses; plan and status go on."
    )
    use_partitioned_tables: Annotated[bool, AfterValidator(_only_partitioned)] = Field(
        True, description="Reads go to the partitioned tables; off is refused: there are no others yet."
    )
    enable_partition_routing: Annotated[bool, AfterValidator(_always_pruned)] = Field(
        True, description="Reads touch only the partitions that may hold their rows; off is refused: PostgreSQL prunes."
    )
    log_partition_routing: bool = Field(
        False, description="Log each read with the partitions that it is expected to touch, at level debug."
    )
    log_partition_routing_orgs: Annotated[str, AfterValidator(_org_list)] = Field(
        "", description="The same for the reads of these organisations alone, such as 7,12."
    )
    use_read_replicas: bool = Field(True, description="Off: every read goes to the primary.")


class ConsistencySettings(Section):
    """The books held against themselves: `folio check`."""

    # Each slice reads all transactions. A minute of one snapshot, which keeps vacuum from what has died since.
    slice_transactions_max: int = Field(
        20_000_000, ge=1, description="Transactions of a slice of a full check; at most 16 slices."
    )
    # Beside live writers on two cores, two helpers made a check no faster, and the p95 of commits 1.2 s instead of 0.3.
    parallel_workers: int = Field(
        0, ge=0, le=64, description="Processes of the database that help a check read, each for most of a core."
    )
    orgs_a_step: int = Field(2_000, ge=1, le=100_000, description="Organisations of one step of an incremental check.")
    drifts_max: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Drifts of one step that are recorded; more are left for the next check.",
    )
    repair_user_id: int = Field(1, ge=1, description="User in whose name a repair's corrections are sent.")
    repair_wait_seconds: float = Field(
        60, gt=0, le=3_600, description="How long a repair waits for the workers to apply its corrections."
    )


class WorkerSettings(Section):
    """A worker process."""

    name: str | None = Field(None, description="Name in lanes and logs; host and process id when unset.")
    metrics_host: str = Field("127.0.0.1", description="Address of /metrics, /livez and /readyz.")
    metrics_port: int = Field(0, ge=0, le=65535, description="Port of the first worker's; 0: any free one.")
    shutdown_grace_seconds: float = Field(20, gt=0, le=300, description="Bound on an orderly shutdown.")
    stall_seconds: float = Field(
        30, ge=1, description="Waiting records without progress, or a silent broker, before rejoining."
    )
    backoff_max_seconds: float = Field(5, gt=0, le=30, description="Longest pause between attempts.")
    crash_at: str | None = Field(None, description="For tests: SIGKILL itself at this point of a batch.")


class LogSettings(Section):
    """Logs."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")


class TracingSettings(Section):
    """Traces. Where they go is said by OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_ENDPOINT."""

    exporter: Literal["none", "otlp"] = Field(
        "none", description="Where spans go; otlp: to a collector by HTTP, needs the extra `tracing`."
    )


class Settings(BaseSettings):
    """All sections. Build it with `load`, which turns what is wrong into one clear message."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="_", env_nested_max_split=1, frozen=True, extra="forbid"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` has gathered: left alone, each instance would read the environment of the process again."""
        return (init_settings,)

    stack: StackSettings = StackSettings()
    database: DatabaseSettings = DatabaseSettings()
    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    cache: CacheSettings = CacheSettings()
    cdn: CdnSettings = CdnSettings()
    rules: RuleSettings = RuleSettings()
    poison: PoisonSettings = PoisonSettings()
    batch: BatchSettings = BatchSettings()
    partitions: PartitionSettings = PartitionSettings()
    flags: FlagSettings = FlagSettings()
    consistency: ConsistencySettings = ConsistencySettings()
    realtime: RealtimeSettings = RealtimeSettings()
    worker: WorkerSettings = WorkerSettings()
    api: ApiSettings = ApiSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    replica: ReplicaSettings = ReplicaSettings()
    pool: PoolSettings = PoolSettings()
    resilience: ResilienceSettings = ResilienceSettings()


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and for each that is not left at its default where it was given."""

    settings: Settings
    given: Mapping[Key, Given]

    def origin(self, key: Key) -> Kind:
        return self.given[key].kind if key in self.given else "default"


def sections() -> dict[str, type[Section]]:
    """The sections by name."""
    found = {}
    for name, field in Settings.model_fields.items():
        section = field.annotation
        assert isinstance(section, type)
        assert issubclass(section, Section)
        found[name] = section
    return found


def definitions() -> dict[Key, FieldInfo]:
    """Every setting, in the order of the page."""
    return {
        (section, name): definition
        for section, model in sections().items()
        for name, definition in model.model_fields.items()
    }


def variables() -> list[str]:
    """The environment variables that are settings."""
    return [variable(key) for key in definitions()]


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read and validate every setting.

    Raises SettingsRefused naming each that is wrong, where it was given, what it was, and what is accepted.
    """
    return load_with_origins(environment).settings


def load_with_origins(environment: Mapping[str, str] = os.environ) -> Loaded:
    """As `load`, and where each value was given."""
    known = {name: list(model.model_fields) for name, model in sections().items()}
    given = given_values(Settings, known, environment)
    nested: dict[str, dict[str, object]] = {}
    for (section, name), each in given.items():
        nested.setdefault(section, {})[name] = each.value
    try:
        return Loaded(Settings.model_validate(nested), given)
    except ValidationError as error:
        raise SettingsRefused("; ".join(_explain(problem, given) for problem in error.errors())) from error


def shown(definition: FieldInfo, value: object) -> str:
    """A value for people's eyes: nothing of a secret, and no password of a URL."""
    return MASK if _holds(definition, Secret) else masked(str(value))


def _explain(problem: Mapping[str, object], given: Mapping[Key, Given]) -> str:
    location = problem["loc"]
    assert isinstance(location, tuple)
    section, *names = (str(part) for part in location)
    if not names:  # of several settings together: their values are not repeated, a password may be among them
        return f"{PREFIX}{section}_*".upper() + f" is refused: {problem['msg']}"
    key = (section, names[0])
    where = given[key].where if key in given else variable(key)
    definition = definitions()[key]
    if where.endswith(FROM_FILE) and not _holds(definition, Address):
        # It may be a secret that was given to the wrong setting, and some messages repeat what they are about.
        return f"{where} names a file whose content is refused: {definition.description}"
    secret = _holds(definition, Secret) or _holds(definition, Address)
    value = MASK if secret else masked(repr(problem["input"]))
    return f"{where}={value} is refused: {problem['msg']}"


def _holds(definition: FieldInfo, mark: type) -> bool:
    return any(isinstance(each, mark) for each in definition.metadata)
