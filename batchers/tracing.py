"""What a batch is called in logs and in traces: bound here, in one place, for everything that happens to it.

One span for a batch, with one below it for each of its steps, and none for a record: there are fifty thousand a second.
Only OpenTelemetry's API is used here; until `pipeline.tracing` sets an SDK up, a span is an object that does nothing.
Spans say which class an error was, and never its message: the database's may repeat a row, with its amounts.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode, TraceFlags, get_tracer
from structlog.contextvars import bound_contextvars

from batchers.decide import Outcome
from batchers.outbox import OutboxRow
from schemas.lanes import Batch
from schemas.traceparent import ids_of, is_sampled, traceparent_of

# The SDK keeps as many by default, and of more only the last: so we pick the first, and each trace once.
LINKS_MAX: Final = 128
_tracer: Final = get_tracer("folio")


@contextmanager
def batch_known(batch: Batch) -> Iterator[Span]:
    """Within the block every line of the log names the batch and its lanes, and every span is below the batch's.

    Tasks copy the context that they are started in: none that outlives the batch may be started within.
    """
    with bound_contextvars(batch_id=str(batch.batch_id), lanes=batch.lanes), _span("folio.batch") as span:
        if span.is_recording():
            span.set_attributes(_attributes(batch))
            for sampled in sampled_events(batch):
                span.add_link(sampled)
        yield span


@contextmanager
def step_known(step: str) -> Iterator[Span]:
    """A span for one step of the batch in whose block we are."""
    with _span(f"folio.{step}", kind=SpanKind.INTERNAL) as span:
        yield span


@contextmanager
def effect_known(effect: str, rows: Sequence[OutboxRow], parent: Context) -> Iterator[Span]:
    """As `batch_known`, for what follows the commit: in a task of its own, below the batch's span where it is known.

    Rows that were read back from the table may be of several batches: then the oldest and the newest are named, and
    there is no span above.
    """
    first, last = rows[0].batch_id, rows[-1].batch_id
    names = {"batch_id": str(first)} | ({"last_batch_id": str(last)} if last != first else {})
    lanes = sorted({row.lane for row in rows})
    with (
        bound_contextvars(**names, lanes=lanes),
        _span(f"folio.{effect}", kind=SpanKind.CLIENT, within=parent) as span,
    ):
        if span.is_recording():
            span.set_attributes({f"folio.{name}": value for name, value in names.items()})
            span.set_attribute("folio.lanes", lanes)
            span.set_attribute("folio.updates", sum(len(row.updates) for row in rows))
            span.set_attribute("folio.letters", sum(len(row.letters) for row in rows))
        yield span


def outcomes_known(span: Span, outcomes: Mapping[Outcome, int]) -> None:
    """Tell the batch's span what became of its records."""
    if span.is_recording():
        span.set_attributes({f"folio.outcome.{outcome}": count for outcome, count in outcomes.items()})


def sampled_events(batch: Batch) -> list[SpanContext]:
    """The first of the spans that the batch's events name and that their producers record, each once."""
    named = (
        traceparent
        for slice_ in batch.slices
        for record in slice_.records
        if record.origin.headers and (traceparent := traceparent_of(record.origin.headers)) is not None
    )
    sampled = dict.fromkeys(traceparent for traceparent in named if is_sampled(traceparent))
    return [_remote(traceparent) for traceparent in islice(sampled, LINKS_MAX)]


def _remote(traceparent: str) -> SpanContext:
    trace_id, span_id = ids_of(traceparent)
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _attributes(batch: Batch) -> dict[str, str | int | list[int] | list[str]]:
    """Ours, and those of the conventions: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/"""
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.batch.message_count": batch.rows,
        "folio.batch_id": str(batch.batch_id),
        "folio.lanes": batch.lanes,
        "folio.feeds": sorted({slice_.feed.value for slice_ in batch.slices}),
    }


@contextmanager
def _span(name: str, *, kind: SpanKind = SpanKind.CONSUMER, within: Context | None = None) -> Iterator[Span]:
    with _tracer.start_as_current_span(
        name, context=within, kind=kind, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise
