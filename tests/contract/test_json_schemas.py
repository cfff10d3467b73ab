"""The JSON Schemas accept what the pipeline accepts, and refuse what they can say is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from pipeline.contract.json_schemas import documents
from schemas.codec import judge_correction
from schemas.events import AGREEING, EventType, Status
from schemas.records import AcceptedCorrection, Origin
from tests.schemas.test_correction_samples import APPENDED_AT, CORRECTIONS, RULES
from tests.schemas.test_correction_samples import POISON as CORRECTION_POISON
from tests.schemas.test_samples import EVENTS, POISON, SAMPLES

HEADS = sorted((SAMPLES / "heads").glob("*.json"))
UPDATES = sorted((SAMPLES / "updates").glob("*.json"))
# What is no JSON never comes to a schema, and what hangs on the broker's clock none can say.
BEYOND_SCHEMAS = ("malformed.", "time_out_of_bounds.")


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(documents()[name], format_checker=Draft202012Validator.FORMAT_CHECKER)


def expressible(poison: list[Path]) -> list[Path]:
    return [sample for sample in poison if not sample.name.startswith(BEYOND_SCHEMAS)]


def a_correction(**fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((SAMPLES / "corrections" / "recompute.minimal.json").read_bytes())
    return body | fields


@pytest.mark.parametrize("name", documents())
def test_a_schema_keeps_to_its_metaschema(name: str) -> None:
    Draft202012Validator.check_schema(documents()[name])


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("finance-event", EVENTS),
        ("balance-correction", CORRECTIONS),
        ("balance-update", UPDATES),
        ("chain-head", HEADS),
    ],
)
def test_every_accepted_sample_is_valid(name: str, samples: list[Path]) -> None:
    assert samples
    for sample in samples:
        faults = [error.message for error in validator(name).iter_errors(json.loads(sample.read_bytes()))]
        assert not faults, (sample.stem, faults)


@pytest.mark.parametrize("sample", expressible(POISON), ids=lambda sample: sample.stem)
def test_poisoned_events_are_invalid(sample: Path) -> None:
    assert not validator("finance-event").is_valid(json.loads(sample.read_bytes()))


@pytest.mark.parametrize("sample", expressible(CORRECTION_POISON), ids=lambda sample: sample.stem)
def test_poisoned_corrections_are_invalid(sample: Path) -> None:
    assert not validator("balance-correction").is_valid(json.loads(sample.read_bytes()))


def test_the_times_and_ids_that_the_schema_refuses_are_refused_without_formats_too() -> None:
    # Many validators do not look at formats; the offset of a time is a pattern besides.
    body = json.loads((SAMPLES / "poison" / "schema.no_offset.json").read_bytes())
    assert not Draft202012Validator(documents()["finance-event"]).is_valid(body)


@pytest.mark.parametrize("status", get_args(Status))
@pytest.mark.parametrize("type_", get_args(EventType))
def test_type_and_status_agree_as_in_the_code(type_: str, status: str) -> None:
    body = json.loads((SAMPLES / "events" / "revenue.created.utc.json").read_bytes())
    body["type"], body["data"]["status"] = type_, status
    assert validator("finance-event").is_valid(body) == ((type_, status) in AGREEING)


FIGURES = dict.fromkeys(("cash_received_cents", "bank_received_cents", "cash_expenses_cents", "bank_expenses_cents"), 1)


@pytest.mark.parametrize("declared", [{}, {"declared_closing_cents": None}, {"declared_closing_cents": 5}])
@pytest.mark.parametrize("figures", [{}, {"figures": None}, {"figures": FIGURES}])
@pytest.mark.parametrize("kind", ["figures", "declared_closing", "recompute"])
def test_a_kind_has_the_fields_that_the_code_wants(
    kind: str, figures: dict[str, Any], declared: dict[str, Any]
) -> None:
    body = a_correction(kind=kind, **figures, **declared)
    origin = Origin("balance-corrections", 0, 0, APPENDED_AT, b"42", json.dumps(body).encode(), ())
    accepted = isinstance(judge_correction(origin, RULES), AcceptedCorrection)
    assert validator("balance-correction").is_valid(body) == accepted


def _without(field: str) -> Callable[[dict[str, Any]], None]:
    return lambda body: body.__delitem__(field)


def _with(field: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda body: body.__setitem__(field, value)


@pytest.mark.parametrize(
    "spoil",
    [_without("version"), _without("event_id"), _with("changed_at", "2025-11-20"), _with("cause", "weather")],
    ids=["no version", "no event_id", "a date for an instant", "an unknown cause"],
)
def test_spoiled_updates_are_invalid(spoil: Callable[[dict[str, Any]], None]) -> None:
    body = json.loads(UPDATES[0].read_bytes())
    assert validator("balance-update").is_valid(body)
    spoil(body)
    assert not validator("balance-update").is_valid(body)
