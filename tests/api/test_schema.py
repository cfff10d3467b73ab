"""Requests made by machine from what the API says of itself: none breaks it, and each is answered as it says."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.conftest import Servers
from tests.api.issuing import Issuer
from tests.support.stream import Stream

# `after` and `cursor` are texts that were given before, which no schema can say.
_NOT_CHECKED = "positive_data_acceptance"
_EXAMPLES = 10


@pytest.mark.long
async def test_no_request_from_the_schema_breaks_the_server_or_the_schema(
    stream: Stream, servers: Servers, issuer: Issuer, tmp_path: Path
) -> None:
    token = issuer.token(1, roles=["reader", "writer", "operator"])
    async with servers(API_RATE_HOLDER_PER_SECOND="100000", API_RATE_HOLDER_BURST="100000") as server:
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "--no-color", "run"),
            str(server.client.base_url.join("/openapi/openapi.json")),
            *("--header", f"Authorization: Bearer {token}", "--exclude-path", "/v2/realtime/stream"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", str(_EXAMPLES), "--seed", "1"),
            *("--exclude-checks", _NOT_CHECKED, "--request-timeout", "30"),
        ]
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False
        )
        log = server.log.read_text()
    told = "\n".join(line[:300] for line in done.stdout.splitlines())
    assert done.returncode == 0, told
    assert "a request failed" not in log
    assert "Traceback" not in log
    generated = int(told.partition("Test cases:")[2].split()[0].replace(",", ""))
    assert generated > 500, told
    assert (await stream.prove()).differences == ()
