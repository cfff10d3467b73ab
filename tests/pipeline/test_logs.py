"""What libraries log comes through, and not as a flood."""

import io
import logging

from pipeline.logs import OnceInAWhile


def test_a_library_that_repeats_itself_is_heard_once() -> None:
    logger, said = logging.getLogger("a library that repeats itself"), io.StringIO()
    handler = logging.StreamHandler(said)
    handler.addFilter(OnceInAWhile())
    logger.addHandler(handler)
    logger.propagate = False
    for _ in range(1_000):
        logger.error("topic is gone")
    logger.error("something else")
    assert said.getvalue().splitlines() == ["topic is gone", "something else"]
