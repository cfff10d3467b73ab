"""Defaults, profile, file, environment: the later one counts, and what is wrong is said with its place."""

from pathlib import Path
from typing import Annotated

import pytest

from pipeline.errors import SettingsRefused
from pipeline.masking import Secret, masked
from pipeline.profiles import PROFILES
from pipeline.settings import Settings, load, load_with_origins, shown
from pipeline.settings_section import Section


def _file(folder: Path, text: str) -> str:
    file = folder / "any.toml"
    file.write_text(text)
    return str(file)


def test_the_later_place_counts(tmp_path: Path) -> None:
    environment = {"FOLIO_PROFILE": "production"}
    assert load(environment).kafka.lanes == PROFILES["production"]["kafka"]["lanes"]
    environment["FOLIO_SETTINGS_FILE"] = _file(tmp_path, "[kafka]\nlanes = 12\n[log]\nlevel = 'error'\n")
    assert load(environment).kafka.lanes == 12
    environment["FOLIO_KAFKA_LANES"] = "5"
    settings = load(environment)
    assert (settings.kafka.lanes, settings.log.level, settings.kafka.replication_factor) == (5, "error", 3)


def test_the_origin_of_each_value_is_known(tmp_path: Path) -> None:
    file = _file(tmp_path, "[log]\nlevel = 'error'\n")
    loaded = load_with_origins(
        {"FOLIO_PROFILE": "staging", "FOLIO_SETTINGS_FILE": file, "FOLIO_BATCH_ROWS_MAX": "5000"}
    )
    keys = [("kafka", "lanes"), ("log", "level"), ("batch", "rows_max"), ("batch", "bytes_max")]
    assert [loaded.origin(key) for key in keys] == ["profile", "file", "environment", "default"]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_accepted_and_says_only_what_differs(profile: str) -> None:
    settings, defaults = load({"FOLIO_PROFILE": profile}).model_dump(), Settings().model_dump()
    differing = {
        (section, name)
        for section, values in settings.items()
        for name, value in values.items()
        if value != defaults[section][name]
    }
    assert differing == {(section, name) for section, values in PROFILES[profile].items() for name in values}


def test_without_a_profile_the_defaults_hold() -> None:
    assert load({}) == load({"FOLIO_PROFILE": "development"}) == load({"FOLIO_PROFILE": ""}) == Settings()


def test_a_profile_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(SettingsRefused, match=r"FOLIO_PROFILE='productoin'.*production, staging, development.*did you"):
        load({"FOLIO_PROFILE": "productoin"})


def test_a_file_is_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folio.toml").write_text("[batch]\nrows_max = 7\n")
    monkeypatch.chdir(tmp_path)
    assert load({}) == Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[batch]\nrow_max = 1", ": batch.row_max is not a setting; did you mean batch.rows_max?"),
        ("[bach]\nrows_max = 1", ": bach is not a section of settings; did you mean batch?"),
        ("batch = 3", ": batch must be a table of settings: [batch]"),
        ("[zzz]", ": zzz is not a section of settings; see docs/settings.md"),
        ("[batch]\nrows_max = 'many'", ": batch.rows_max='many' is refused: Input should be a valid integer"),
        ("[kafka]\nlanes = 0", ": kafka.lanes=0 is refused: Input should be greater than or equal to 1"),
        ("[kafka]\nlanes = true", ": kafka.lanes='true' is refused: Input should be a valid integer"),
        ("[kafka]\nlanes = 8.5", ": kafka.lanes=8.5 is refused: Input should be a valid integer"),
        ("[kafka]\nlanes = []", ": kafka.lanes=[] is refused: Input should be a valid integer"),
        ("[kafka", " is not TOML: "),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_the_file_and_the_key(tmp_path: Path, text: str, message: str) -> None:
    file = _file(tmp_path, text)
    with pytest.raises(SettingsRefused) as refused:
        load({"FOLIO_SETTINGS_FILE": file})
    assert file in str(refused.value)
    assert message in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=r"FOLIO_SETTINGS_FILE='.*none\.toml' cannot be read: No such file"):
        load({"FOLIO_SETTINGS_FILE": str(tmp_path / "none.toml")})


def test_wrong_values_of_several_places_are_said_at_once(tmp_path: Path) -> None:
    file = _file(tmp_path, "[kafka]\nlanes = 0\n")
    with pytest.raises(SettingsRefused, match=r"any\.toml: kafka\.lanes=0 .*; FOLIO_LOG_LEVEL='loud'"):
        load({"FOLIO_SETTINGS_FILE": file, "FOLIO_LOG_LEVEL": "loud"})


def test_settings_that_are_wrong_together_are_said_without_their_values() -> None:
    environment = {
        "FOLIO_DATABASE_URL": "postgresql://u:hush@h/d",
        "FOLIO_DATABASE_CONNECT_TIMEOUT_SECONDS": "15",
        "FOLIO_DATABASE_LOCK_TIMEOUT_SECONDS": "15",
    }
    with pytest.raises(SettingsRefused) as refused:
        load(environment)
    assert str(refused.value).startswith("FOLIO_DATABASE_* is refused: ")
    assert "add up to 70 s" in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("postgresql://u:hush@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("redis://:hush@h/0", "redis://:***@h/0"),
        ("postgresql://u:hu@sh/@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d?password=hush&x=1", "postgresql://u@h/d?password=***&x=1"),
        ("'redis://u:hush@h'", "'redis://u:***@h'"),
        ("postgresql://u@h:5432/d", "postgresql://u@h:5432/d"),
        ("sasl://u@corp:hush@h:9092", "sasl://u@corp:***@h:9092"),
        ("sasl://a/b:hush@h:9092", "sasl://a/b:***@h:9092"),
        ("broker-1:9092,broker-2:9092", "broker-1:9092,broker-2:9092"),
    ],
)
def test_passwords_of_urls_are_masked(text: str, seen: str) -> None:
    assert masked(text) == seen


class _Keys(Section):
    key: Annotated[str, Secret()] = "hush"
    url: str = "redis://u:hush@h"


def test_nothing_of_a_secret_is_shown() -> None:
    fields = _Keys.model_fields
    assert shown(fields["key"], _Keys().key) == "***"
    assert shown(fields["url"], _Keys().url) == "redis://u:***@h"


def test_a_value_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    secret = tmp_path / "database"
    secret.write_text("postgresql://folio:s3cret@db/folio\n")
    loaded = load_with_origins({"FOLIO_DATABASE_URL_FILE": str(secret), "FOLIO_KAFKA_LANES": "4"})
    assert loaded.settings.database.url == "postgresql://folio:s3cret@db/folio"
    assert loaded.origin(("database", "url")) == "environment"
    assert loaded.settings.kafka.lanes == 4


def test_a_value_in_a_file_counts_more_than_the_profile_and_the_file_of_settings(tmp_path: Path) -> None:
    lanes = tmp_path / "lanes"
    lanes.write_text("7")
    environment = {"FOLIO_PROFILE": "production", "FOLIO_KAFKA_LANES_FILE": str(lanes)}
    environment["FOLIO_SETTINGS_FILE"] = _file(tmp_path, "[kafka]\nlanes = 12\n")
    assert load(environment).kafka.lanes == 7


def test_what_is_wrong_with_a_files_value_is_said_without_the_value(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_text("s3cret")
    with pytest.raises(
        SettingsRefused, match=r"FOLIO_BATCH_ROWS_MAX_FILE names a file whose content is refused: "
    ) as refused:
        load({"FOLIO_BATCH_ROWS_MAX_FILE": str(file)})
    assert "s3cret" not in str(refused.value)


def test_no_rule_repeats_a_secret_that_was_given_to_the_wrong_setting(tmp_path: Path) -> None:
    file = tmp_path / "zone"
    file.write_text("s3cret")
    with pytest.raises(SettingsRefused, match="FOLIO_RULES_DEFAULT_TIME_ZONE_FILE names a file") as refused:
        load({"FOLIO_RULES_DEFAULT_TIME_ZONE_FILE": str(file)})
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "why"), [(None, "cannot be read: No such file"), (b"\n", "is empty"), (b"\xff", "it is not UTF-8")]
)
def test_a_files_value_that_cannot_be_had_is_refused_by_name(tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / "url"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsRefused, match=f"FOLIO_REDIS_URL_FILE=.*{why}"):
        load({"FOLIO_REDIS_URL_FILE": str(file)})


def test_a_value_and_its_file_are_not_both_given(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=r"FOLIO_REDIS_URL_FILE=.* and FOLIO_REDIS_URL are both set"):
        load({"FOLIO_REDIS_URL": "redis://a", "FOLIO_REDIS_URL_FILE": str(tmp_path)})


def test_what_counts_is_the_environment_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLIO_KAFKA_LANES", "3")
    assert load({}).kafka.lanes == Settings().kafka.lanes == 8
    assert load({"FOLIO_KAFKA_LANES": "5"}).kafka.lanes == 5
