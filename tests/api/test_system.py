"""What operators ask of a server: every figure is this process's own."""

import httpx
import pytest

from tests.api.conftest import Served
from tests.api.issuing import Issuer

BASE = "/v1/system"


async def test_an_operator_sees_how_the_server_stands(served: Served, issuer: Issuer) -> None:
    operator = issuer.bearer(roles=["operator"])
    async with served() as client:

        async def told(path: str) -> httpx.Response:
            answer = await client.get(BASE + path, headers=operator)
            assert answer.status_code == httpx.codes.OK, answer.text
            return answer

        for day in (1, 2, 3):
            await client.get(f"/v1/orgs/1/properties/1/balances/2026-01-0{day}", headers=operator)
        assert (await told("/health")).json()["healthy"]
        (primary,) = (await told("/database/replicas/stats")).json()
        assert primary == {"name": "primary", "answered": 4, "behind": 0, "failed": 0}, (
            "the first look at the start, and a day each with the latest before it"
        )
        assert (await told("/database/replicas/lag")).json() == []
        (pool,) = (await told("/database/connection-pool/stats")).json()
        assert (pool["name"], pool["in_use"], pool["open"] > 0) == ("primary", 0, True)
        page = (await told("/metrics/prometheus")).text
        assert 'folio_reads_total{intent="write",server="primary"} 4.0' in page, "the primary's, for the cache"
        samples = (await told("/metrics/aggregated")).json()
        assert {
            "name": "folio_reads_total",
            "labels": {"server": "primary", "intent": "write"},
            "value": 4.0,
        } in samples
        looked = await client.post(f"{BASE}/database/replicas/health-check", headers=operator)
        assert [each["condition"] for each in looked.json()] == ["well"]
        assert (await told("/database/replicas/health")).json() == looked.json()


@pytest.mark.parametrize("path", ["/health", "/metrics/prometheus", "/database/replicas/health"])
async def test_nobody_else_does(served: Served, issuer: Issuer, path: str) -> None:
    async with served() as client:
        assert (await client.get(BASE + path)).status_code == httpx.codes.UNAUTHORIZED
        everything_else = issuer.bearer(1, roles=["reader", "writer"])
        assert (await client.get(BASE + path, headers=everything_else)).status_code == httpx.codes.FORBIDDEN
