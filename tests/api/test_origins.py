"""Which pages may ask, and what browsers are told."""

import httpx
import pytest

from pipeline.api.origins import allowed_origin
from tests.api.conftest import Served
from tests.api.issuing import Issuer

LIST = "https://hotel.example,https://app.hotel.example:8443"
ORIGINS = {"API_CORS_ORIGINS": LIST}


@pytest.mark.parametrize(
    ("origin", "host", "may"),
    [
        (None, "api.example", True),  # no browser
        ("https://hotel.example", "api.example", True),
        ("https://HOTEL.example", "api.example", True),
        ("https://app.hotel.example:8443", "api.example", True),
        ("https://api.example", "api.example", True),  # its own page
        ("https://api.example", "API.example:443", True),
        ("http://api.example:8080", "api.example:8080", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("https://app.hotel.example", "api.example", False),  # another port
        ("http://hotel.example", "api.example", False),  # another scheme
        ("https://hotel.example.evil.example", "api.example", False),
        ("https://evilhotel.example", "api.example", False),
        ("https://hotel.example@evil.example", "api.example", False),
        ("https://api.example:8443", "api.example", False),
        ("http://api.example:8080", "api.example:8081", False),
        ("https://hotel.example/path", "api.example", False),
        ("https://hotel.example,https://app.hotel.example:8443", "api.example", False),
        ("null", "api.example", False),
        ("null", "null", False),
        ("", "api.example", False),
        ("file://", "api.example", False),
        ("https://", "", False),
        ("https://evil.example", None, False),
        ("https://[::1", "[::1", False),
        ("https://evil.example:port", "api.example", False),
    ],
)
def test_which_pages_may_ask(origin: str | None, host: str | None, may: bool) -> None:
    assert allowed_origin(origin, LIST, host) is may


def test_without_a_list_only_its_own_page_may() -> None:
    assert allowed_origin("https://api.example", None, "api.example")
    assert not allowed_origin("https://hotel.example", None, "api.example")


async def test_a_browser_hears_before_asking_whether_it_may(served: Served) -> None:
    asked = {"Access-Control-Request-Method": "POST"}
    wanted = asked | {"Access-Control-Request-Headers": "authorization, content-type, folio-read, idempotency-key"}
    async with served(**ORIGINS) as client:
        good = await client.options("/v1/events", headers=wanted | {"Origin": "https://hotel.example"})
        assert (good.status_code, good.headers["access-control-allow-origin"]) == (204, "https://hotel.example")
        told = {each.strip().lower() for each in good.headers["access-control-allow-headers"].split(",")}
        assert {"authorization", "idempotency-key", "folio-read", "if-none-match"} <= told
        assert "access-control-allow-credentials" not in good.headers, "tokens come in a header, never in a cookie"
        for origin in ("https://evil.example", "null", "https://hotel.example.evil.example", "http://hotel.example"):
            refused = await client.options("/v1/events", headers=wanted | {"Origin": origin})
            assert refused.status_code == httpx.codes.BAD_REQUEST, origin
            assert "access-control-allow-origin" not in refused.headers
        method = await client.options(
            "/v1/events", headers={"Origin": "https://hotel.example", "Access-Control-Request-Method": "DELETE"}
        )
        assert method.status_code == httpx.codes.BAD_REQUEST


async def test_a_page_that_may_not_ask_reads_no_answer(served: Served, issuer: Issuer) -> None:
    path, mine = "/v1/orgs/1/overview?day=2026-11-01", issuer.bearer(1)
    async with served(**ORIGINS) as client:
        for origin, may in (("https://hotel.example", True), ("https://evil.example", False), ("null", False)):
            for headers in (mine, {}):  # a refusal, too
                answer = await client.get(path, headers=headers | {"Origin": origin})
                assert (answer.headers.get("access-control-allow-origin") == origin) is may
                assert "*" not in answer.headers.get("access-control-allow-origin", "")
                told = {each.strip().lower() for each in answer.headers["vary"].split(",")}
                assert {"authorization", "origin", "accept-encoding"} <= told, "or a cache gives it to another page"
    async with served() as client:
        answer = await client.get(path, headers=mine | {"Origin": "https://hotel.example"})
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/livez", "/v1/orgs/1/overview?day=2026-11-01", "/v1/nowhere", "/v1/orgs/1/overview"])
async def test_every_answer_bears_the_headers_that_browsers_mind(served: Served, issuer: Issuer, path: str) -> None:
    async with served(API_HSTS_SECONDS="31536000") as tls, served() as client:
        for headers in ({}, issuer.bearer(1)):
            answer = await client.get(path, headers=headers)
            said = answer.headers
            assert said["x-content-type-options"] == "nosniff"
            assert said["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert said["referrer-policy"] == "no-referrer"
            assert said["cross-origin-resource-policy"] == said["cross-origin-opener-policy"] == "same-origin"
            assert "microphone=()" in said["permissions-policy"]
            assert said["cache-control"] == ("private, no-cache" if answer.is_success else "no-store")
            assert "server" not in said
            assert "strict-transport-security" not in said, "who is reached without TLS must not say so"
            hsts = (await tls.get(path, headers=headers)).headers["strict-transport-security"]
            assert hsts == "max-age=31536000; includeSubDomains"
