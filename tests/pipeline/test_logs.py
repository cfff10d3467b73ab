"""What libraries log comes through, and not as a flood."""

import io
import logging
import subprocess
import sys

from pipeline.logs import OnceInAWhile

SECRET = "s3cret"
# Ours and a library's, in a field, in the text and in a traceback.
TELLING = f"""
import logging, structlog
from pipeline import logs
logs.configure("info")
url = "postgresql://folio:{SECRET}@db:5432/folio?sslmode=verify-full"
structlog.get_logger().info("connecting", url=url)
logging.getLogger("driver").error("cannot reach %s", url)
try:
    raise OSError("refused by " + url)
except OSError:
    structlog.get_logger().exception("gone")
    logging.getLogger("driver").exception("gone")
"""


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


def test_no_password_of_an_address_is_logged_whoever_puts_it_there() -> None:
    told = subprocess.run([sys.executable, "-c", TELLING], capture_output=True, text=True, check=True).stderr
    assert told.count("postgresql://folio:***@db:5432/folio") >= 4
    assert SECRET not in told
