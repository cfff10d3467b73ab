"""Spans on their way out of the process: set up when a setting says so, flushed at the end, absent otherwise."""

import threading
from collections.abc import Callable
from typing import Final

import structlog
from opentelemetry import trace

from pipeline.errors import SettingsRefused
from pipeline.settings import TracingSettings

_SERVICE: Final = "folio-stream"

log = structlog.get_logger()
Flush = Callable[[float], None]  # told how many seconds it may take


def start_tracing(settings: TracingSettings, instance: str) -> Flush:
    """Send spans where the settings say, from now on; returns what sends the last of them and ends it.

    Where to, how often and of which sample is said by OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_TRACES_SAMPLER, …). Raises SettingsRefused where the packages are not installed.
    """
    if settings.exporter == "none":
        return _nothing_to_flush
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise SettingsRefused(
            f"FOLIO_TRACING_EXPORTER=otlp needs the extra `tracing` ({error}): pip install 'foliostream[tracing]', or "
            "requirements/tracing.txt, or set it to none"
        ) from error
    ours = Resource({"service.name": _SERVICE, "service.instance.id": instance})
    # Not at exit: that would wait for a collector that is away, past any grace.
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return lambda seconds: _flush(provider.shutdown, seconds)


def _nothing_to_flush(_seconds: float) -> None:
    return


def _flush(shutdown: Callable[[], None], seconds: float) -> None:
    """The SDK's own waiting has a bound of thirty seconds for each part: ours is the grace that is left."""
    flushing = threading.Thread(target=shutdown, name="last spans", daemon=True)
    flushing.start()
    flushing.join(seconds)
    if flushing.is_alive():
        log.warning("the last spans were not sent in time", seconds=round(seconds, 1))
