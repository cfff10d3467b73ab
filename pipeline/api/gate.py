"""What every request passes before its route, and every answer after it, from the outside in."""

from litestar.types import ASGIApp

from pipeline.api.bodies import bounded
from pipeline.api.hardening import hardened
from pipeline.api.limiting import limited
from pipeline.api.measuring import measured
from pipeline.api.metrics import ApiMetrics
from pipeline.api.tokens import Tokens
from pipeline.clock import SystemClock
from pipeline.settings_serving import ApiSettings


def gated(app: ASGIApp, settings: ApiSettings, tokens: Tokens, metrics: ApiMetrics) -> ASGIApp:
    """Counted and timed, whatever becomes of it; hardened, refusals too; within the rates; and what it holds."""
    app = bounded(app, settings.bodies_bytes_max, metrics)
    return measured(hardened(limited(app, settings, tokens, metrics), settings.hsts_seconds), metrics, SystemClock())
