"""Waiting for what a producer was handed: each answer has its time, however many there are."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

# For each answer, not for all: a large row under a quota takes its time. The client bounds each of its requests (20 s),
# and not what it waits for between them: with a part of it that has died it would wait for ever. A session's end brings
# a new client.
ANSWER_SECONDS_MAX: Final = 30.0


def answer_bound() -> asyncio.Timeout:
    """TimeoutError comes out of it when the first answer takes too long; see `prolong`."""
    return asyncio.timeout(ANSWER_SECONDS_MAX)


def prolong(bound: asyncio.Timeout) -> None:
    """Something has come: the next answer has its whole time."""
    bound.reschedule(asyncio.get_running_loop().time() + ANSWER_SECONDS_MAX)


def forget(deliveries: Sequence["asyncio.Future[Any]"]) -> None:
    """Nobody waits for these any more: one that failed is told by the first that did."""
    for delivery in deliveries:
        if not delivery.cancel() and not delivery.cancelled():
            delivery.exception()
