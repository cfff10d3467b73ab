"""Logs on standard error: one event a line, for people in a terminal and as JSON elsewhere."""

import logging
import sys
from collections.abc import Mapping

import structlog

from pipeline.masking import masked

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class OnceInAWhile(logging.Filter):
    """Lets a library say the same thing once in ten seconds: some repeat it as fast as they can try again."""

    _SECONDS = 10.0

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int], float] = {}  # by place in the code, of which there are only so many

    def filter(self, record: logging.LogRecord) -> bool:
        place = (record.pathname, record.lineno)
        if record.created - self._said.get(place, 0.0) < self._SECONDS:
            return False
        self._said[place] = record.created
        return True


def configure(level: str) -> None:
    """Set up structlog, and let the libraries' own warnings through it."""
    terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_secrets,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(OnceInAWhile())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # The client logs each attempt to reach a broker that is away; our own line about it says it once.
    logging.getLogger("aiokafka").setLevel(logging.ERROR)


def _without_secrets(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """The last resort: a driver may put the address that it was given into its message, or into a traceback."""
    return {name: _masked(value) for name, value in event.items()}


def _masked(value: object) -> object:
    match value:
        case str():
            return masked(value)
        case BaseException():
            return masked(repr(value))
        case Mapping():
            return {name: _masked(each) for name, each in value.items()}
        case list() | tuple():
            return [_masked(each) for each in value]
    return value
