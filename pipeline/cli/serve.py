"""folio serve: balances, reports and transactions over HTTP."""

import asyncio
import signal

import structlog

from pipeline import settings as settings_module
from pipeline.api.console_address import console_address, of_local_stack
from pipeline.api.serving import opened
from pipeline.endpoints import resolve
from pipeline.last_resort import LastResort
from pipeline.logs import configure
from pipeline.loop import run_on_loop
from pipeline.settings import Settings

# Past the grace, as `folio run`: a process that is about to end is left the time to.
_LAST_RESORT_SECONDS = 2.0

log = structlog.get_logger()


def serve() -> int:
    """Answer over HTTP until stopped (SIGTERM or Ctrl-C): an organisation's books, for whoever holds a token of it."""
    settings = settings_module.load()
    configure(settings.log.level)
    run_on_loop(_until_told(settings))
    return 0


async def _until_told(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    last_resort = LastResort(loop)
    async with opened(settings, resolve(settings)) as serving:

        def stop() -> None:
            last_resort.arm(settings.api.shutdown_grace_seconds + _LAST_RESORT_SECONDS)
            serving.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        log.info("serving", address=serving.address)
        if of_local_stack(settings):
            print(f"console: {console_address(settings, serving.address)}", flush=True)
        await serving.run()
