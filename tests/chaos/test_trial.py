"""A fault that did not fire fails its trial, and so does whatever breaks on the way."""

from dataclasses import dataclass
from typing import cast

import pytest

from tests.chaos import trial as module
from tests.chaos.arena import Arena
from tests.chaos.faults.fault import Fault
from tests.chaos.plan import Strike
from tests.chaos.promises import DidNotFire
from tests.chaos.trial import trial


@dataclass
class Dud(Fault):
    """Strikes nobody."""

    async def strike(self) -> None:
        pass

    async def proof(self) -> str:
        raise DidNotFire("nobody was struck")


@dataclass
class Wild(Fault):
    """Breaks the harness."""

    async def strike(self) -> None:
        raise KeyError("a slip")

    async def proof(self) -> str:
        return ""


class Idle:
    """A load of nothing, and nobody who reads it."""

    sent = 0

    def begin(self, *_: object) -> None: ...

    async def check(self) -> None: ...

    async def end(self) -> None: ...


class Bare:
    load = reader = Idle()


@pytest.mark.parametrize(
    ("fault", "failure"), [(Dud(0), "DidNotFire: nobody was struck"), (Wild(0), "the harness broke: ")]
)
async def test_a_trial_that_proves_nothing_fails(monkeypatch: pytest.MonkeyPatch, fault: Fault, failure: str) -> None:
    async def well(*_: object) -> float:
        return 0.0

    for check in ("drained", "settled", "accounted"):
        monkeypatch.setattr(module, check, well)
    strike = Strike(1, "dud", events_per_second=1, before_seconds=0, gap_seconds=0)
    monkeypatch.setattr(Strike, "faults", lambda _: [fault])
    outcome = await trial(cast("Arena", Bare()), strike)
    assert outcome.failure is not None
    assert outcome.failure.startswith(failure)
