"""Settings are read once, and what is wrong is said by name."""

import os

import pytest
from pydantic import ValidationError

from pipeline.errors import SettingsRefused
from pipeline.masking import MASK
from pipeline.settings import Settings, load, variables
from pipeline.settings_section import Section

SECRETS = {"FOLIO_REALTIME_CURSOR_SECRETS"}

# A value that each variable refuses; those that take any text are named below.
WRONG = {
    "FOLIO_DATABASE_CONNECT_TIMEOUT_SECONDS": ["soon", "0", "16"],
    "FOLIO_DATABASE_LOCK_TIMEOUT_SECONDS": ["x", "0", "16"],
    "FOLIO_DATABASE_TRANSACTION_TIMEOUT_SECONDS": ["x", "0", "41"],
    "FOLIO_DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS": ["x", "0", "16"],
    "FOLIO_KAFKA_GROUP": [""],
    "FOLIO_KAFKA_TOPIC_PREFIX": ["a/b", "x" * 101],
    "FOLIO_KAFKA_LANES": ["0", "1025", "8.5"],
    "FOLIO_KAFKA_REPLICATION_FACTOR": ["0"],
    "FOLIO_KAFKA_SESSION_TIMEOUT_SECONDS": ["5", "46"],
    "FOLIO_KAFKA_FETCH_PARTITION_BYTES_MAX": ["65535"],
    "FOLIO_KAFKA_REQUEST_TIMEOUT_SECONDS": ["0"],
    "FOLIO_REDIS_TIMEOUT_SECONDS": ["0"],
    "FOLIO_REDIS_VALUE_TTL_SECONDS": ["0"],
    "FOLIO_REDIS_INVALIDATION_GROUPS_MAX": ["0"],
    "FOLIO_CACHE_L1_ENTRIES_MAX": ["0", "1000001"],
    "FOLIO_CACHE_REFRESH_AHEAD": ["-0.1", "0.95"],
    "FOLIO_CACHE_ACTIVE_TTL_SECONDS": ["0", "3601", "0.5"],
    "FOLIO_CACHE_PAST_TTL_SECONDS": ["0", "3601"],
    "FOLIO_CACHE_FLOORS_MAX": ["0", "10000001"],
    "FOLIO_CACHE_WARM_PROPERTIES_MAX": ["-1", "100001"],
    "FOLIO_CACHE_WARM_SECONDS": ["-1", "61"],
    "FOLIO_CDN_PURGE_URL": ["cdn.example", "ftp://cdn.example/", "http://user@cdn.example/", "http://a/?b", ""],
    "FOLIO_CDN_TIMEOUT_SECONDS": ["0", "31"],
    "FOLIO_CDN_REQUEST_TAGS_MAX": ["0", "101"],
    "FOLIO_CDN_WAITING_TAGS_MAX": ["0", "1000001"],
    "FOLIO_CDN_AGAIN_SECONDS": ["-1", "61"],
    "FOLIO_RULES_OCCURRED_PAST_MAX_DAYS": ["0", "36526"],
    "FOLIO_RULES_OCCURRED_FUTURE_MAX_HOURS": ["-1"],
    "FOLIO_RULES_DEFAULT_CURRENCY": ["inr", "RUPEE"],
    "FOLIO_RULES_DEFAULT_TIME_ZONE": ["Mars/Olympus", "", "../etc"],
    "FOLIO_POISON_SHARE_MAX": ["0", "1.1", "half"],
    "FOLIO_POISON_WINDOW_RECORDS": ["9", "1000001", "all"],
    "FOLIO_RULES_UNKNOWN_PROPERTY": ["refuse", "", "Register"],
    "FOLIO_BATCH_ROWS_MAX": ["0", "100001", "many"],
    "FOLIO_BATCH_BYTES_MAX": ["1"],
    "FOLIO_BATCH_LINGER_MS": ["-1", "60001"],
    "FOLIO_BATCH_GATHERED_ROWS_MAX": ["0"],
    "FOLIO_BATCH_GATHERED_BYTES_MAX": ["1"],
    "FOLIO_BATCH_LANES_PER_WRITER": ["-1"],
    "FOLIO_BATCH_RETENTION_MONTHS": ["0"],
    "FOLIO_BATCH_REACHED_DAYS_MAX": ["0"],
    "FOLIO_API_PORT": ["-1", "65536"],
    "FOLIO_API_JWKS_CHECK_SECONDS": ["0", "3601"],
    "FOLIO_API_TOKEN_ISSUER": [""],
    "FOLIO_API_TOKEN_AUDIENCE": [""],
    "FOLIO_API_BODY_BYTES_MAX": ["1023"],
    "FOLIO_API_BODIES_BYTES_MAX": ["1023"],
    "FOLIO_API_PUBLISH_PATIENCE_SECONDS": ["-1", "301"],
    "FOLIO_API_PUBLISH_WAITING_MAX": ["0", "100001"],
    "FOLIO_API_CORS_ORIGINS": ["*", "hotel.example", "https://a,https://b,https://c,https://d"],
    "FOLIO_API_HSTS_SECONDS": ["-1", "63072001"],
    "FOLIO_API_HEAD_SECONDS": ["0", "301"],
    "FOLIO_API_BODY_SECONDS": ["0", "301"],
    "FOLIO_API_RATE_HOLDER_PER_SECOND": ["0", "1000001"],
    "FOLIO_API_RATE_HOLDER_BURST": ["0", "1000001", "1.5"],
    "FOLIO_API_RATE_ADDRESS_PER_SECOND": ["0", "1000001"],
    "FOLIO_API_RATE_ADDRESS_BURST": ["0", "1000001"],
    "FOLIO_API_TRUSTED_PROXIES": ["", "proxy.example", "10.0.0.1/8", "10.0.0.1;10.0.0.2"],
    "FOLIO_API_RATE_REMEMBERED_MAX": ["0", "1000001"],
    "FOLIO_API_APPLIED_WAIT_SECONDS": ["0", "21"],
    "FOLIO_API_APPLIED_WAITING_MAX": ["0", "100001"],
    "FOLIO_API_SHUTDOWN_GRACE_SECONDS": ["0", "301"],
    "FOLIO_REALTIME_HISTORY_RECORDS_MAX": ["-1", "1000001"],
    "FOLIO_REALTIME_READY_SECONDS_MAX": ["-1", "301"],
    "FOLIO_REALTIME_HEARTBEAT_SECONDS": ["0", "301"],
    "FOLIO_REALTIME_SNAPSHOT_DAYS_MAX": ["0", "100001"],
    "FOLIO_REALTIME_SNAPSHOTS_AT_ONCE": ["0", "1001"],
    "FOLIO_REALTIME_SOCKET_SUBSCRIPTIONS_MAX": ["0", "1001"],
    "FOLIO_REALTIME_SOCKET_IDLE_SECONDS": ["0", "3601"],
    "FOLIO_REALTIME_SOCKET_MESSAGES_PER_SECOND": ["0", "10001"],
    "FOLIO_REALTIME_CURSOR_SECRETS": ["short", "x" * 31, ",".join(["x" * 32] * 5), "y" * 32 + ","],
    "FOLIO_CONSISTENCY_SLICE_TRANSACTIONS_MAX": ["0"],
    "FOLIO_CONSISTENCY_PARALLEL_WORKERS": ["-1", "65"],
    "FOLIO_CONSISTENCY_ORGS_A_STEP": ["0", "100001"],
    "FOLIO_CONSISTENCY_DRIFTS_MAX": ["0", "1000001"],
    "FOLIO_CONSISTENCY_REPAIR_USER_ID": ["0"],
    "FOLIO_CONSISTENCY_REPAIR_WAIT_SECONDS": ["0", "3601"],
    "FOLIO_BATCH_UNPUBLISHED_BATCHES_MAX": ["0"],
    "FOLIO_PARTITIONS_MONTHS_AHEAD": ["0", "121"],
    "FOLIO_PARTITIONS_LOCK_TIMEOUT_MS": ["0", "5001", "0.5"],
    "FOLIO_PARTITIONS_LOCK_ATTEMPTS": ["0", "10001"],
    "FOLIO_PARTITIONS_STEP_SECONDS_MAX": ["0", "3601"],
    "FOLIO_FLAGS_ENABLE_PARTITION_MAINTENANCE": ["perhaps", ""],
    "FOLIO_WORKER_METRICS_PORT": ["-1", "65536"],
    "FOLIO_WORKER_SHUTDOWN_GRACE_SECONDS": ["0", "301"],
    "FOLIO_WORKER_STALL_SECONDS": ["0"],
    "FOLIO_WORKER_BACKOFF_MAX_SECONDS": ["0", "31"],
    "FOLIO_STACK_REPLICAS": ["-1", "5", "two"],
    "FOLIO_REPLICA_COUNT": ["-1", "all"],
    "FOLIO_REPLICA_ORG_RANGES": ["1-9", "1-9=near", "1-9=near,9-=far", "2-=near"],
    "FOLIO_REPLICA_HEALTH_CHECK_INTERVAL_SECONDS": ["0", "301", "often"],
    "FOLIO_REPLICA_LAG_WARN_SECONDS": ["0"],
    "FOLIO_REPLICA_LAG_CRITICAL_SECONDS": ["0"],
    "FOLIO_REPLICA_ANSWER_TIMEOUT_SECONDS": ["0", "16"],
    "FOLIO_REPLICA_CATCH_UP_MS": ["-1", "1001"],
    "FOLIO_POOL_PRIMARY_MIN": ["-1"],
    "FOLIO_POOL_PRIMARY_MAX": ["0", "1001"],
    "FOLIO_POOL_REPLICA_MIN": ["-1"],
    "FOLIO_POOL_REPLICA_MAX": ["0", "1001"],
    "FOLIO_POOL_IDLE_SECONDS": ["0"],
    "FOLIO_POOL_LIFETIME_SECONDS": ["0"],
    "FOLIO_POOL_ACQUIRE_TIMEOUT_SECONDS": ["0", "31"],
    "FOLIO_POOL_STATEMENT_TIMEOUT_SECONDS": ["0", "301"],
    "FOLIO_POOL_STATEMENT_CACHE_SIZE": ["-1", "1001"],
    "FOLIO_POOL_ROLE": [""],
    "FOLIO_FLAGS_USE_READ_REPLICAS": ["perhaps"],
    "FOLIO_KAFKA_STATIC_MEMBERSHIP": ["perhaps"],
    "FOLIO_BATCH_WRITERS_MAX": ["0", "65"],
    "FOLIO_FLAGS_USE_PARTITIONED_TABLES": ["false", "perhaps"],
    "FOLIO_FLAGS_ENABLE_PARTITION_ROUTING": ["false", "perhaps"],
    "FOLIO_FLAGS_LOG_PARTITION_ROUTING": ["perhaps"],
    "FOLIO_FLAGS_LOG_PARTITION_ROUTING_ORGS": ["7;12", "0", "7,,12"],
    "FOLIO_RESILIENCE_BREAKER_FAILURES": ["0", "1001", "few"],
    "FOLIO_RESILIENCE_BREAKER_OPEN_SECONDS": ["0", "3601"],
    "FOLIO_RESILIENCE_WORKER_OPEN_SECONDS": ["0", "10.5"],
    "FOLIO_RESILIENCE_RETRY_ATTEMPTS": ["0", "11"],
    "FOLIO_RESILIENCE_RETRY_BACKOFF_SECONDS": ["0", "61"],
    "FOLIO_RESILIENCE_RETRY_BACKOFF_MAX_SECONDS": ["0", "61"],
    "FOLIO_RESILIENCE_RETRY_BUDGET_SHARE": ["-0.1", "1.1", "20%"],
    "FOLIO_RESILIENCE_RETRY_BUDGET_SAVED_MAX": ["0", "1001"],
    "FOLIO_RESILIENCE_WAITING_MAX": ["-1", "100001"],
    "FOLIO_RESILIENCE_WAIT_SECONDS_MAX": ["0", "61"],
    "FOLIO_RESILIENCE_POSTGRES_IN_FLIGHT_MAX": ["0", "10001"],
    "FOLIO_RESILIENCE_REDIS_IN_FLIGHT_MAX": ["0", "10001"],
    "FOLIO_RESILIENCE_KAFKA_IN_FLIGHT_MAX": ["0", "10001"],
    "FOLIO_RESILIENCE_CDN_IN_FLIGHT_MAX": ["0", "10001"],
    "FOLIO_RESILIENCE_POSTGRES_CALLS_PER_SECOND": ["0.5"],
    "FOLIO_RESILIENCE_REDIS_CALLS_PER_SECOND": ["0.5"],
    "FOLIO_RESILIENCE_KAFKA_CALLS_PER_SECOND": ["0.5"],
    "FOLIO_RESILIENCE_CDN_CALLS_PER_SECOND": ["0.5"],
    "FOLIO_API_COUNT_SECONDS_MAX": ["0", "3601"],
    "FOLIO_REALTIME_USER_CONNECTIONS_MAX": ["0", "1001"],
    "FOLIO_REALTIME_ORG_CONNECTIONS_MAX": ["0", "100001"],
    "FOLIO_REALTIME_CONNECTIONS_MAX": ["0", "1000001"],
    "FOLIO_REALTIME_PENDING_DAYS_MAX": ["0", "1000001"],
    "FOLIO_REALTIME_KNOWN_DAYS_MAX": ["0", "1000001"],
    "FOLIO_REALTIME_SLOW_SECONDS_MAX": ["0", "3601"],
    "FOLIO_REALTIME_RING_ENTRIES_MAX": ["0", "10000001"],
    "FOLIO_REALTIME_RING_BYTES_MAX": ["65535"],
    "FOLIO_REALTIME_FETCH_BYTES_MAX": ["65535"],
    "FOLIO_REALTIME_STALL_SECONDS": ["0", "301"],
    "FOLIO_LOG_LEVEL": ["loud", "INFO "],
    "FOLIO_TRACING_EXPORTER": ["jaeger", "OTLP", ""],
}
# Judged where they are used: an address by connecting to it, a crash point by pipeline.crash.
FREE_TEXT = {
    "FOLIO_STACK_DIR",
    "FOLIO_STACK_MAVEN_URL",
    "FOLIO_DATABASE_URL",
    "FOLIO_DATABASE_ROLE",
    "FOLIO_KAFKA_BOOTSTRAP",
    "FOLIO_REDIS_URL",
    "FOLIO_PARTITIONS_ARCHIVE_DIR",
    "FOLIO_REPLICA_URLS",  # its addresses are not shown: tests/replicas/test_addresses.py
    "FOLIO_API_HOST",
    "FOLIO_API_JWKS_PATH",
    "FOLIO_API_OPERATOR_DATABASE_URL",
    "FOLIO_API_OWNER_DATABASE_URL",
    "FOLIO_WORKER_NAME",
    "FOLIO_WORKER_METRICS_HOST",
    "FOLIO_WORKER_CRASH_AT",
}


@pytest.fixture(autouse=True)
def _no_settings_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("FOLIO_"):
            monkeypatch.delenv(name)


def test_every_variable_is_judged_here_or_named_as_free_text() -> None:
    assert set(variables()) == WRONG.keys() | FREE_TEXT


def test_the_defaults_are_valid() -> None:
    assert load() == Settings()


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_refused_by_the_variables_name_and_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsRefused) as refused:
        load()
    message, shown = str(refused.value), MASK if name in SECRETS else repr(value)
    assert message.startswith(f"{name}={shown} is refused: ")
    assert len(message) > len(f"{name}={shown} is refused: ")
    if name in SECRETS:
        assert value not in message


def test_everything_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLIO_KAFKA_LANES", "0")
    monkeypatch.setenv("FOLIO_BATCH_ROWS_MAX", "x")
    with pytest.raises(SettingsRefused, match=r"FOLIO_KAFKA_LANES=.*; FOLIO_BATCH_ROWS_MAX="):
        load()


def test_a_value_reaches_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLIO_BATCH_ROWS_MAX", "7")
    monkeypatch.setenv("FOLIO_DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS", "1.5")
    monkeypatch.setenv("FOLIO_KAFKA_TOPIC_PREFIX", "a.b-c_")
    settings = load()
    assert (settings.batch.rows_max, settings.database.idle_in_transaction_timeout_seconds) == (7, 1.5)
    assert settings.kafka.topic_prefix == "a.b-c_"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("FOLIO_BATCH_ROW_MAX", "did you mean FOLIO_BATCH_ROWS_MAX?"),
        ("FOLIO_DATABSE_URL", "did you mean FOLIO_DATABASE_URL?"),
        ("FOLIO_BATCH", "did you mean FOLIO_BATCH_ROWS_MAX?"),
        ("FOLIO_QQQQQQQQ", "see docs/settings.md"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_known_one(
    monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsRefused) as refused:
        load()
    assert str(refused.value) == f"{name} is not a setting; {hint}"


def test_settings_are_read_from_the_environment_that_is_given() -> None:
    assert load({"FOLIO_BATCH_ROWS_MAX": "7"}).batch.rows_max == 7


def test_variables_of_others_are_none_of_our_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTFOLIO_BATCH", "1")
    monkeypatch.setenv("BATCH_ROWS_MAX", "x")
    assert load() == Settings()


def test_settings_and_sections_are_frozen() -> None:
    settings = load()
    for frozen, name in ((settings, "batch"), (settings.batch, "rows_max")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(frozen, name, getattr(frozen, name))


def test_every_setting_says_what_it_is_for() -> None:
    for name, section in Settings.model_fields.items():
        assert isinstance(section.annotation, type)
        assert issubclass(section.annotation, Section)
        for field, info in section.annotation.model_fields.items():
            assert info.description, f"{name}.{field}"
            assert info.description.endswith("."), f"{name}.{field}"


def test_by_default_a_stuck_writer_lets_go_within_the_takeover_bound() -> None:
    database = load().database
    waits = (
        database.connect_timeout_seconds,
        database.lock_timeout_seconds,
        database.transaction_timeout_seconds,
        database.idle_in_transaction_timeout_seconds,
    )
    assert sum(waits) <= 60
