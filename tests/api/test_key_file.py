"""Keys rotate while the server runs, and a broken file changes nothing."""

import asyncio
import json
import os
from pathlib import Path

import httpx
import pytest

from pipeline.api.key_file import KeyFile
from pipeline.api.metrics import ApiMetrics
from pipeline.api.tokens import TokenRefused, Tokens, Trust, read_keys
from tests.api.conftest import Served
from tests.api.issuing import AUDIENCE, ISSUER, Issuer
from tests.support.stream import Stream

PATH = "/v1/orgs/1/overview?day=2026-11-01"


class House:
    """A file of keys, the tokens that it opens, and what was counted."""

    def __init__(self, folder: Path) -> None:
        self.first, self.second = Issuer("one"), Issuer("two")
        self.path = self.first.publish(folder / "keys.json")
        self.tokens = Tokens(Trust(read_keys(self.path), ISSUER, AUDIENCE))
        self.metrics = ApiMetrics()
        self.file = KeyFile(self.path, self.tokens, 1, self.metrics)

    def opens(self, issuer: Issuer) -> bool:
        try:
            return self.tokens.principal(issuer.token(1)).subject == "7"
        except TokenRefused:
            return False

    def counted(self, outcome: str) -> float:
        value = self.metrics.registry.get_sample_value("folio_api_key_reads_total", {"outcome": outcome})
        return value or 0.0


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_a_new_key_opens_and_a_key_that_was_taken_away_does_not(house: House, tmp_path: Path) -> None:
    token = house.first.token(1)
    assert house.tokens.principal(token) == house.tokens.remembered(token)
    both = json.loads(house.path.read_text())
    both["keys"] += json.loads(house.second.publish(tmp_path / "other.json").read_text())["keys"]
    house.path.write_text(json.dumps(both))
    await house.file.look()
    assert (house.opens(house.first), house.opens(house.second)) == (True, True)
    house.second.publish(tmp_path / "new.json").replace(house.path)
    await house.file.look()
    assert (house.opens(house.first), house.opens(house.second)) == (False, True)
    with pytest.raises(TokenRefused):
        house.tokens.principal(token)
    assert house.tokens.remembered(token) is None
    await house.file.look()
    assert (house.counted("accepted"), house.counted("refused")) == (2, 0)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "eA"}]}', b"\xff", None]
)
async def test_a_broken_file_leaves_the_former_keys_and_is_told_once(
    house: House, tmp_path: Path, content: bytes | None
) -> None:
    if content is None:
        house.path.unlink()
    else:
        house.path.write_bytes(content)
    for _ in range(3):
        await house.file.look()
    assert house.opens(house.first)
    assert (house.counted("accepted"), house.counted("refused")) == (0, 1)
    house.second.publish(house.path)
    await house.file.look()
    assert (house.opens(house.first), house.opens(house.second)) == (False, True)


async def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes hands secrets out: the file's own name never changes."""
    for name, issuer in (("a", Issuer("one")), ("b", Issuer("two"))):
        (tmp_path / name).mkdir()
        issuer.publish(tmp_path / name / "keys.json")
        os.utime(tmp_path / name / "keys.json", (1, 1))
    (tmp_path / "now").symlink_to("a")
    path = tmp_path / "now" / "keys.json"
    tokens, metrics = Tokens(Trust(read_keys(path), ISSUER, AUDIENCE)), ApiMetrics()
    file = KeyFile(path, tokens, 1, metrics)
    (tmp_path / "next").symlink_to("b")
    (tmp_path / "next").replace(tmp_path / "now")
    await file.look()
    assert metrics.registry.get_sample_value("folio_api_key_reads_total", {"outcome": "accepted"}) == 1


async def test_a_server_takes_new_keys_while_it_runs(stream: Stream, served: Served, issuer: Issuer) -> None:
    other = Issuer("test-2")
    async with served(API_JWKS_CHECK_SECONDS="0.05") as client:

        async def opens(who: Issuer) -> bool:
            return (await client.get(PATH, headers=who.bearer(1))).status_code == httpx.codes.OK

        assert (await opens(issuer), await opens(other)) == (True, False)
        path = stream.folder / "keys.json"
        path.write_text("{")
        await asyncio.sleep(0.3)
        assert (await opens(issuer), await opens(other)) == (True, False)
        other.publish(path)
        while not await opens(other):
            await asyncio.sleep(0.02)
        assert not await opens(issuer)
