"""A producer's trace goes with its event: a link of the batch's span, and a field of the update, through the outbox."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import stamina
from msgspec import UNSET
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from batchers import tracing
from batchers.outbox import read_outbox
from batchers.tracing import LINKS_MAX, sampled_events
from pipeline.errors import FenceLost
from schemas.records import Accepted, Headers
from schemas.routing import home_lane
from schemas.topics import Feed
from schemas.updates import BalanceUpdate
from tests.batchers.test_writer import FULL, TODAY, Desk
from tests.support.events import NOON
from tests.support.ledger import Ledger

HOME = home_lane(1, 2)


def trace_of(number: int, flags: str = "01") -> str:
    return f"00-{number:032x}-{number:016x}-{flags}"


def traced(number: int, flags: str = "01") -> Headers:
    return (("traceparent", trace_of(number, flags).encode()),)


def an_event(ledger: Ledger, number: int, headers: Headers, **of_event: Any) -> Accepted:
    ledger.lanes[HOME].headers = headers
    return ledger.event(number, **of_event)


async def updates_in_the_table(ledger: Ledger) -> list[BalanceUpdate]:
    """As a worker reads the outbox that another one left."""
    return [update for row in await read_outbox(ledger.admin, HOME, 0, 1 << 20) for update, _ in row.updates]


async def test_the_trace_waits_in_the_outbox_and_is_published_from_there(ledger: Ledger) -> None:
    await ledger.commit(
        an_event(ledger, 1, traced(1)),
        an_event(ledger, 2, traced(2)),  # the newest of its day
        an_event(ledger, 3, (), property_=2),
        an_event(ledger, 4, (("traceparent", b"00-broken"),), property_=3),
    )
    told = {update.property_id: update.traceparent for update in await updates_in_the_table(ledger)}
    assert told == {1: trace_of(2), 2: UNSET, 3: UNSET}


async def test_days_that_are_carried_into_name_the_trace_that_reached_them(ledger: Ledger) -> None:
    await ledger.commit(an_event(ledger, 1, traced(1)))
    await ledger.commit(an_event(ledger, 2, traced(2), at=NOON - timedelta(days=1)))
    *_, before, carried = await updates_in_the_table(ledger)
    assert (before.cause, carried.cause) == ("event", "carry_forward")
    assert before.traceparent == carried.traceparent == trace_of(2)


async def test_a_correction_has_a_trace_as_an_event_has(ledger: Ledger) -> None:
    ledger.desks[HOME].headers = traced(7)
    await ledger.commit(an_event(ledger, 1, traced(1)), ledger.correction(declared=5))
    (update,) = await updates_in_the_table(ledger)
    assert (update.cause, update.traceparent) == ("correction", trace_of(7))


async def test_the_books_do_not_keep_traces(ledger: Ledger) -> None:
    """A day that changes again, by an event without a trace, does not name the old one."""
    await ledger.commit(an_event(ledger, 1, traced(1)))
    await ledger.commit(an_event(ledger, 2, ()))
    assert [update.traceparent for update in await updates_in_the_table(ledger)] == [trace_of(1), UNSET]


# --- spans ---


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Every span that ended, of this test alone: a provider that is set for the process cannot be taken back."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    with stamina.set_testing(True, attempts=6, cap=True):
        yield exporter
    provider.shutdown()


async def written(ledger: Ledger, *records: Accepted) -> None:
    """The records through a writer and its drains, to the end."""
    desk = Desk(ledger)
    desk.gathering.add(HOME, Feed.EVENTS, records)
    desk.gathering.close()
    await desk.group.run()


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


async def test_a_batch_is_one_span_and_its_steps_are_below_it(ledger: Ledger, spans: InMemorySpanExporter) -> None:
    await written(ledger, *(an_event(ledger, number, traced(number)) for number in (1, 2, 3)))
    (batch,) = named(spans, "folio.batch")
    assert batch.attributes is not None
    assert batch.context is not None
    lane = await ledger.lane(HOME)
    assert batch.attributes["folio.batch_id"] == str(lane["batch_id"])
    assert batch.attributes["folio.lanes"] == (HOME,)
    assert batch.attributes["messaging.batch.message_count"] == 3
    assert batch.attributes["folio.outcome.applied"] == 3
    assert batch.attributes["folio.outcome.conflict"] == 0
    steps = {span.name: span for span in spans.get_finished_spans() if span is not batch}
    assert steps.keys() == {"folio.commit", "folio.publish", "folio.invalidate"}
    for step in steps.values():
        assert step.parent is not None
        assert step.parent.span_id == batch.context.span_id
    assert [link.context.trace_id for link in batch.links] == [1, 2, 3]
    assert not trace.get_current_span().is_recording()


async def test_links_are_sampled_traces_each_once_and_so_many_at_most(ledger: Ledger) -> None:
    records = [an_event(ledger, 1, traced(1, "00")), an_event(ledger, 2, ())]
    records += [an_event(ledger, number, traced(5)) for number in (3, 4)]
    assert [context.trace_id for context in sampled_events(ledger.batch(*records))] == [5]
    many = [an_event(ledger, number, traced(number)) for number in range(100, 101 + LINKS_MAX)]
    assert [context.trace_id for context in sampled_events(ledger.batch(*many))] == list(range(100, 100 + LINKS_MAX))


async def test_a_batch_that_is_halved_has_its_halves_below_it_and_no_row_in_its_error(
    ledger: Ledger, spans: InMemorySpanExporter
) -> None:
    await ledger.load_balance(TODAY, FULL, property_=9)
    await written(ledger, an_event(ledger, 1, ()), an_event(ledger, 2, (), property_=9, amount=987_654_321))
    first, letter, second, whole = named(spans, "folio.batch")
    above = [(first, whole), (letter, second), (second, whole)]
    assert all(lower.parent == upper.context for lower, upper in above)
    refused = [span for span in named(spans, "folio.commit") if span.status.status_code is trace.StatusCode.ERROR]
    assert [span.attributes and span.attributes["error.type"] for span in refused] == ["BatchRejected"] * 2
    assert all(not span.events for span in spans.get_finished_spans())
    assert "987654321" not in "".join(span.to_json() for span in spans.get_finished_spans())


async def test_what_ends_a_batch_is_told_by_its_class(ledger: Ledger, spans: InMemorySpanExporter) -> None:
    batch = ledger.batch(an_event(ledger, 1, ()))
    desk = Desk(ledger)
    await ledger.claim()
    desk.writer._books = ledger.books
    with pytest.raises(FenceLost):
        await desk.writer.write(batch)
    (span,) = named(spans, "folio.batch")
    assert span.attributes is not None
    assert span.attributes["error.type"] == "FenceLost"
    counted = desk.metrics.registry.get_sample_value(
        "folio_failed_attempts_total", {"step": "commit", "error": "FenceLost"}
    )
    assert counted == 1
