"""folio run: the workers."""

import asyncio
import gc
import os
import signal
import sys
from typing import Annotated, Final

import cyclopts

from pipeline import settings as settings_module
from pipeline.app import Worker, worker_name
from pipeline.clients import ServerClients
from pipeline.endpoints import resolve
from pipeline.last_resort import LastResort
from pipeline.logs import configure
from pipeline.loop import run_on_loop
from pipeline.supervisor import supervise
from pipeline.tracing import start_tracing

# Past the grace: a process that is about to end is left the time to, and orchestrators kill soon after.
_LAST_RESORT_SECONDS: Final = 2.0


def run(
    *,
    workers: Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=1, lte=64))] = 1,
    until_stdin_ends: Annotated[bool, cyclopts.Parameter(negative="")] = False,
) -> int:
    """Consume finance events until stopped (SIGTERM or Ctrl-C), each worker in a process of its own.

    Parameters
    ----------
    workers
        Worker processes; they share the lanes through the consumer group.
    until_stdin_ends
        Stop in order when standard input ends: with whoever started the command and holds the other end of the pipe.
    """
    settings = settings_module.load()
    configure(settings.log.level)
    if workers > 1:
        resolve(settings)  # refuse here, once, rather than in every child
        return supervise(workers, settings.worker.metrics_port, settings.worker.shutdown_grace_seconds)
    name = worker_name(settings)
    clients = ServerClients(settings, resolve(settings), name)
    worker = Worker(settings, clients, name=name, metrics_port=settings.worker.metrics_port)
    flush = start_tracing(settings.tracing, worker.name)
    collect_rarely()
    try:
        run_on_loop(_until_told(worker, sys.stdin.fileno() if until_stdin_ends else None))
    finally:
        flush(worker.grace_left())
    return 0


def collect_rarely() -> None:
    """Set the collector for a process that takes batch after batch.

    What is loaded by now lives as long as the process: the collector need not look at it again and again. Batches hold
    many objects and no cycles, so the young generation may grow past a batch's size before it is looked at.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)


async def _until_told(worker: Worker, pipe: int | None) -> None:
    """Run until a signal comes, or until `pipe` ends."""
    loop = asyncio.get_running_loop()
    last_resort = LastResort(loop)

    def stop() -> None:
        last_resort.arm(worker.grace_left() + _LAST_RESORT_SECONDS)  # first: stopping may fail as well
        worker.stop()

    def stop_at_end() -> None:
        assert pipe is not None
        if not os.read(pipe, 65_536):
            loop.remove_reader(pipe)
            stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if pipe is not None:
        loop.add_reader(pipe, stop_at_end)
    try:
        await worker.run()
    except Exception as error:  # what is left of the worker is cancelled, and waited for without a bound
        last_resort.arm(worker.grace_left() + _LAST_RESORT_SECONDS, error)
        raise
