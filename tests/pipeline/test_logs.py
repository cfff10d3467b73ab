"""What libraries log comes through, and not as a flood."""

import logging

from pipeline.logs import OnceInAWhile


def test_a_library_that_repeats_itself_is_heard_once() -> None:
    logger, heard = logging.getLogger("a library that repeats itself"), list[str]()
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]  # a list for a stream
    handler.addFilter(OnceInAWhile())
    logger.addHandler(handler)
    logger.propagate = False
    for _ in range(1_000):
        logger.error("topic is gone")
    logger.error("something else")
    assert heard == ["topic is gone", "something else"]
