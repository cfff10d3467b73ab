"""What users are called: damaged, deleted, invented, and made again as the workers had written it."""

from random import Random
from typing import Any, Final

import pytest

from pipeline.rebuild.job import Order, Progress, run
from pipeline.rebuild.scope import Part
from schemas.records import Judged
from schemas.routing import home_lane
from tests.rebuild.conftest import Open
from tests.rebuild.test_books import changes
from tests.support.events import encoded, event
from tests.support.ledger import Ledger

USERS: Final = frozenset({Part.USERS})
DAMAGE: Final = """
    UPDATE read_models.users SET display_name = 'Nobody' WHERE user_id = 1;
    DELETE FROM read_models.users WHERE user_id = 2;
    INSERT INTO read_models.users VALUES (1, 999, 'Nobody', now()), (3, 999, 'Nobody', now())"""


def named(
    ledger: Ledger, id_: int, user: int, name: str | None, *, org: int = 1, lane: int | None = None, **kwargs: Any
) -> Judged:
    """The next event, recorded by a user under a name, or under none."""
    body = event(id_, org=org, **kwargs) | {"recorded_by": {"user_id": user} | ({"name": name} if name else {})}
    home = home_lane(org, ledger.lane_count)
    return ledger.lanes[home if lane is None else lane].record(encoded(body), key=str(org).encode())


async def names(ledger: Ledger) -> dict[tuple[int, int], str]:
    rows = await ledger.rows("SELECT org_id, user_id, display_name FROM read_models.users")
    return {(row[0], row[1]): row[2] for row in rows}


async def called(ledger: Ledger, *, seed: int = 1, count: int = 60) -> dict[tuple[int, int], str]:
    """Some users are called many things, among them by stale versions and by the wrong lane, and at last by none."""
    chance = Random(seed)
    for _ in range(count // 4):
        await ledger.commit(
            *[
                named(
                    ledger,
                    chance.randint(1, 12),
                    chance.randint(1, 4),
                    chance.choice(("Asha", "Asha Rao", "Ravi", None)),
                    version=chance.randint(1, 9),
                    org=chance.randint(1, 3),
                    lane=chance.choice((None, None, 0, 1)),
                )
                for _ in range(4)
            ]
        )
    return await names(ledger)


async def rebuild(ledger: Ledger, means: Open, org: int | None = None, **options: Any) -> Progress:
    async with means(ledger, Part.USERS, **options) as found:
        return await run(found, Order(USERS, org), "test", lambda _line: None)


@pytest.mark.parametrize("seed", range(3))
async def test_names_are_made_again_as_the_workers_had_written_them(
    ledger: Ledger, means: Open, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("pipeline.rebuild.users.ROWS_A_STEP", 2)
    before = await called(ledger, seed=seed)
    assert await ledger.value("SELECT count(*) FROM event_store.events WHERE outcome = 'stale'")
    assert changes(await rebuild(ledger, means)) == {}
    await ledger.admin.execute(DAMAGE)
    damaged = await names(ledger)
    tried = changes(await rebuild(ledger, means, dry_run=True))
    assert tried == {"names": len(set(before.items()) ^ set(damaged.items())) - len(_other(before, damaged))}
    assert await names(ledger) == damaged
    assert changes(await rebuild(ledger, means, events_a_slice=20)) == tried
    assert await names(ledger) == before
    await ledger.admin.execute("TRUNCATE read_models.users")
    await rebuild(ledger, means)
    assert await names(ledger) == before


def _other(before: dict[Any, str], after: dict[Any, str]) -> set[Any]:
    """Whoever is called something else in both: one change, and in both differences."""
    return {key for key in before.keys() & after.keys() if before[key] != after[key]}


async def test_one_organisation_alone(ledger: Ledger, means: Open) -> None:
    before = await called(ledger)
    await ledger.admin.execute("DELETE FROM read_models.users")
    await rebuild(ledger, means, org=2)
    assert await names(ledger) == {key: name for key, name in before.items() if key[0] == 2}


@pytest.mark.parametrize("meanwhile", ["Asha Rao", "Nobody"], ids=["another", "what the damaged row says"])
async def test_a_name_that_is_given_between_the_look_and_the_lock_counts(
    ledger: Ledger, means: Open, meanwhile: str
) -> None:
    await ledger.commit(named(ledger, 1, 7, "Asha"), named(ledger, 2, 7, "Asha", org=2))
    await ledger.admin.execute("UPDATE read_models.users SET display_name = 'Nobody'")
    async with means(ledger, Part.USERS) as found:
        assert found.steps is not None
        step = found.steps.run

        async def after_a_write(orgs: Any, work: Any) -> Any:
            await ledger.commit(named(ledger, 3, 7, meanwhile))
            return await step(orgs, work)

        found.steps.run = after_a_write  # type: ignore[method-assign]  # a writer comes in between
        await run(found, Order(USERS), "test", lambda _line: None)
    assert await names(ledger) == {(1, 7): meanwhile, (2, 7): "Asha"}


async def test_what_a_worker_remembers_of_a_name_it_forgets(ledger: Ledger, means: Open) -> None:
    """Else it would take a name for written that the rebuild has taken away, or changed."""
    await ledger.commit(named(ledger, 1, 7, "Asha"))
    stood = (await ledger.lane(1))["last_recorded_at"]
    await ledger.admin.execute("UPDATE read_models.users SET display_name = 'Nobody'")
    await rebuild(ledger, means)
    assert (await ledger.lane(1))["last_recorded_at"] > stood
    await ledger.commit(named(ledger, 2, 7, "Asha"))
    assert await names(ledger) == {(1, 7): "Asha"}


async def test_who_was_named_in_an_archived_month_keeps_his_name(ledger: Ledger, means: Open) -> None:
    await ledger.commit(named(ledger, 1, 1, "Asha"), named(ledger, 2, 2, "Ravi"), named(ledger, 3, 3, "Tara"))
    await ledger.commit(named(ledger, 4, 2, "Ravi Rao"))
    await ledger.admin.execute(
        "UPDATE event_store.events SET recorded_at = recorded_at - interval '2 months' WHERE aggregate_id IN (1, 2)"
    )
    await ledger.admin.execute("DELETE FROM event_store.events WHERE aggregate_id = 1")
    await ledger.admin.execute(
        "INSERT INTO ops.expired_months (parent, month, to_archive) SELECT 'event_store.events', "
        "date_trunc('month', min(recorded_at) AT TIME ZONE 'UTC')::date, true FROM event_store.events"
    )
    await ledger.admin.execute("DELETE FROM read_models.users WHERE user_id = 2")
    await ledger.admin.execute("UPDATE read_models.users SET display_name = 'Nobody' WHERE user_id = 3")
    try:
        await rebuild(ledger, means)
    finally:
        await ledger.admin.execute("DELETE FROM ops.expired_months")
    assert await names(ledger) == {(1, 1): "Asha", (1, 2): "Ravi Rao", (1, 3): "Tara"}
