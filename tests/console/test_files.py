"""The console's files: unchanged where they are others', under a policy of their own, asked for again and again."""

import re
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

import pipeline.api.console
from tests.console.server import Server

FOLDER = Path(pipeline.api.console.__file__).parents[1] / "console"
VENDOR = FOLDER / "vendor"
OURS = sorted(path for path in FOLDER.glob("*") if path.is_file())


def test_what_is_vendored_is_what_its_package_has() -> None:
    lines = (VENDOR / "VERSIONS").read_text().split("sha256\n")[1].splitlines()
    written = {name: digest for digest, name in (line.split() for line in lines)}
    found = {path.name: sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir() if path.name != "VERSIONS"}
    assert found == written


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_nothing_is_asked_of_anybody_else(path: Path) -> None:
    text = path.read_text()
    addresses = set(re.findall(r"https?://[^\s\"'`]+", text)) - {"http://www.w3.org/2000/svg", "https://folio.example"}
    assert not addresses
    if path.suffix == ".html":
        assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=", text), "the policy would refuse it"
    if path.suffix == ".js":
        assert not re.findall(r"innerHTML|\beval\(|new Function|localStorage\.|document\.write", text)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_a_file_is_one_screenful_or_two(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


async def test_they_are_served_with_a_policy_and_an_entity_tag(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.address) as client:
        page = await client.get("/console")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert (await client.get("/console/")).text == page.text
        asked = re.findall(r'(?:src|href)="(/console/[^"]+)"', page.text)
        assert len(asked) == 6
        for path in [*asked, "/console/realtime.js", "/console/vendor/preact.module.js"]:
            answer = await client.get(path)
            assert answer.status_code == httpx.codes.OK, path
            kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
            assert answer.headers["content-type"].startswith(kinds[Path(path).suffix])
            policy = dict(each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; "))
            assert policy["default-src"] == "'none'"
            assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
            assert policy["base-uri"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "public, no-cache"
            again = await client.get(path, headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (httpx.codes.NOT_MODIFIED, b"")
            assert again.headers["content-security-policy"] == answer.headers["content-security-policy"]

        for path in ("/console/vendor/VERSIONS", "/console/no.js", "/console/%2e%2e/api/console.py"):
            assert (await client.get(path)).status_code == httpx.codes.NOT_FOUND, path
