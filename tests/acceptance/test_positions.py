"""Moving a lane by hand: a plan first, never under a worker, and with a row in the audit."""

import json

from schemas.routing import home_lane
from tests.support.events import encoded, event
from tests.support.stream import Message, Stream

MESSAGES: list[Message] = [(b"1", encoded(event(number))) for number in range(1, 6)]


async def test_a_lane_is_moved_back_and_consumes_again(stream: Stream) -> None:
    lane = str(home_lane(1, stream.lanes))
    await stream.send(MESSAGES)
    with stream.worker() as worker:
        await stream.wait_until_consumed(5)
        refused = stream.folio("positions", "set", lane, "--to", "2", "--execute")
        assert refused.returncode != 0
        assert f"lane {lane} is owned by" in refused.stderr
        assert await worker.stop() == 0
    planned = stream.folio("positions", "set", lane, "--to", "2")
    assert planned.returncode == 0, planned.stderr
    assert "from 5 to 2; consumes 3 records from 2 on again" in planned.stdout
    assert "nothing was changed" in planned.stdout
    assert await _position(stream, lane) == 5
    done = stream.folio("positions", "set", lane, "--to", "2", "--execute", "--output", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["start"], told["target"], told["executed"]) == (5, 2, True)
    assert await _position(stream, lane) == 2
    with stream.worker() as worker:
        await stream.wait_until_consumed(8)
        assert await worker.stop() == 0
    assert await stream.outcomes() == {"applied": 5, "duplicate": 3, "stale": 0, "conflict": 0, "quarantined": 0}
    async with stream.database() as connection:
        audited = await connection.fetchrow("SELECT command, detail FROM ops.operator_audit")
    assert audited is not None
    assert audited["command"] == "positions set"
    assert json.loads(audited["detail"]) == {"lane": int(lane), "feed": "finance-events", "from": 5, "to": 2}


async def test_what_cannot_be_is_refused_with_what_can(stream: Stream) -> None:
    lane = str(home_lane(1, stream.lanes))
    await stream.send(MESSAGES)
    for arguments, reason in (
        ((lane, "--to", "6"), f"lane {lane} of finance-events holds 0 to 5"),
        ((lane, "--to", "soon"), "an offset, `beginning` or `end` is accepted"),
        (("99", "--to", "end"), "there are lanes 0 to 1"),
    ):
        refused = stream.folio("positions", "set", *arguments)
        assert refused.returncode != 0
        assert reason in refused.stderr
    unclaimed = stream.folio("positions", "set", lane, "--to", "end", "--execute")
    assert unclaimed.returncode != 0
    assert "was never claimed" in unclaimed.stderr
    shown = json.loads(stream.folio("positions", "show", "--output", "json").stdout)
    assert [at["feeds"]["finance-events"]["end"] for at in shown["lanes"] if str(at["lane"]) == lane] == [5]


async def _position(stream: Stream, lane: str) -> int:
    async with stream.database() as connection:
        return int(await connection.fetchval("SELECT finance_position FROM ops.lanes WHERE lane = $1", int(lane)))
