"""A real browser on a real server."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.api.conftest import issuer
from tests.api.issuing import Issuer
from tests.console.page import Page
from tests.console.server import Server
from tests.support.stream import Stream

__all__ = ["issuer"]  # a fixture

_CHROMIUM: Final = Path("/usr/bin/chromium")
_DRIVER: Final = Path("/usr/bin/chromedriver")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One browser for all: each test has a tab of its own, and with it a session of its own."""
    if not (_CHROMIUM.exists() and _DRIVER.exists()):
        pytest.skip("no Chromium here; get it with `apt-get install chromium chromium-driver`")
    options = ChromeOptions()
    options.binary_location = str(_CHROMIUM)
    profile = tmp_path_factory.mktemp("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",  # in a container we are root
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--hide-scrollbars",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # Nothing is downloaded: both programs are named. In a session of its own, so that all of it can be ended.
    service = Service(str(_DRIVER), popen_kw={"start_new_session": True})
    driver = Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        pid = service.process.pid
        with suppress(Exception):
            driver.quit()
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


@pytest.fixture
def page(chromium: Chrome) -> Iterator[Page]:
    """A tab; what it has written to its console is looked at by the test that cares, and forgotten."""
    chromium.switch_to.new_window("tab")
    opened = Page(chromium)
    opened.complaints()
    opened.shape(1440, 900)
    yield opened
    chromium.close()
    chromium.switch_to.window(chromium.window_handles[0])


@pytest_asyncio.fixture
async def server(stream: Stream, issuer: Issuer) -> AsyncIterator[Server]:
    """`folio serve`, answering."""
    running = Server(stream, issuer)
    await running.start()
    yield running
    running.kill()
