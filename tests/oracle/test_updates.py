"""An update as the oracle reads it: a trace is one that tracing tools take, or it is not there."""

import json
from pathlib import Path

import pytest

from pipeline.oracle.updates import UpdateError, parse_update

SAMPLES = Path(__file__).parents[1] / "samples" / "updates"


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.json")), ids=lambda sample: sample.stem)
def test_every_sample_is_read(sample: Path) -> None:
    assert parse_update(sample.read_bytes(), None).key[0] == 42


@pytest.mark.parametrize("trace", [None, "", 7, "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "ff" + "-1" * 26])
def test_an_update_with_a_trace_that_is_none_is_no_update(trace: object) -> None:
    said = json.loads((SAMPLES / "event.traced.json").read_bytes()) | {"traceparent": trace}
    with pytest.raises(UpdateError):
        parse_update(json.dumps(said).encode(), None)
