"""Generated requests for what is another organisation's, against a real server: nothing of it is ever answered.

Who has a token of the operators is asked the same, and must see all of it: or nothing here could be seen to leak.
`make campaign` makes 100,000 of them.
"""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.asyncio.client import ClientConnection

from tests.api.conftest import Server, Servers
from tests.api.followers import say, socket
from tests.api.issuing import Issuer
from tests.api.pipelining import Answered, pipelined
from tests.api.strangers import IDS, MARKS, ORGS, Asker, Attempt, Strangers, books_of, orgs_in, property_of
from tests.support.events import encoded, event
from tests.support.stream import Stream

ATTEMPTS: Final = int(os.environ.get("FOLIO_TEST_ATTEMPTS", "50000"))
_AT_ONCE: Final = 5_000
NOW = datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0)  # the same day everywhere in India
_PATIENT: Final = {
    "API_RATE_HOLDER_PER_SECOND": "1000000",
    "API_RATE_HOLDER_BURST": "1000000",
    "API_RATE_ADDRESS_PER_SECOND": "1000000",
    "API_RATE_ADDRESS_BURST": "1000000",
    "REALTIME_USER_CONNECTIONS_MAX": "1000",
    "REALTIME_SOCKET_MESSAGES_PER_SECOND": "10000",
}


def _at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 6, tzinfo=UTC)


@dataclass
class House:
    """A server on the books of three organisations, which go on changing as long as somebody wants it."""

    stream: Stream
    server: Server
    issuer: Issuer
    sent: int = 0
    told: int = field(default=0)

    @property
    def operator(self) -> dict[str, str]:
        return self.issuer.bearer(roles=["reader", "writer", "operator"], sub="operator")

    async def send(self, events: Sequence[dict[str, Any]]) -> None:
        self.sent += len(events)
        await self.stream.send([(b"%d" % each["org_id"], encoded(each)) for each in events])

    async def trade(self) -> None:
        """A sale more in each organisation, again and again, until cancelled."""
        while True:
            self.told += 1
            made = []
            for org in ORGS:
                text = f"sale {MARKS[org]}"
                one = event(int(f"{IDS[org]}{5_000 + self.told}"), org=org, property_=property_of(org), at=NOW)
                made.append(one | {"data": {**one["data"], "description": text}})
            await asyncio.shield(self.send(made))
            await asyncio.sleep(0.1)


@asynccontextmanager
async def house_of(stream: Stream, servers: Servers, issuer: Issuer) -> AsyncIterator[House]:
    with stream.worker(BATCH_LINGER_MS="10") as worker:
        async with servers(**_PATIENT, API_JWKS_PATH=str(_two_keys(issuer, stream.folder / "two.json"))) as server:
            house = House(stream, server, issuer)
            for org in ORGS:
                await house.send(books_of(org, NOW.date(), _at))
            await stream.wait_until_consumed(house.sent)
            yield house
            assert "a request failed" not in server.log.read_text()
        assert await worker.stop() == 0


_SECOND: Final = Issuer("test-2")


def _two_keys(issuer: Issuer, path: Path) -> Path:
    """Both are trusted: a token of one must not pass for one of the other."""
    keys = [json.loads(each.publish(path).read_text())["keys"][0] for each in (issuer, _SECOND)]
    path.write_text(json.dumps({"keys": keys}))
    return path


def _askers(issuer: Issuer) -> list[Asker]:
    """None of them may see all."""

    def believed(name: str, sees: Sequence[int], writes: Sequence[int], **changed: Any) -> Asker:
        token = issuer.token(*{*sees, *writes, *changed.pop("orgs", ())}, sub=name, **changed)
        return Asker(name, _bearer(token), frozenset(sees), frozenset(writes))

    forged = {name: Asker(name, _bearer(token), believed=False) for name, token in _forged(issuer).items()}
    return [
        believed("a reader of one", [1], []),
        believed("a reader of two", [1, 3], []),
        believed("a writer", [], [1], roles=["writer"]),
        believed("a reader and writer", [1], [1], roles=["reader", "writer"]),
        believed("one without a role", [], [], roles=[], orgs=[1, 2, 3]),
        believed("a reader of none", [], []),
        Asker("nobody", "", believed=False),
        Asker("a name and password", "Authorization: Basic b3BlcmF0b3I6b3BlcmF0b3I=\r\n", believed=False),
        *forged.values(),
    ]


def _bearer(token: str) -> str:
    return f"Authorization: Bearer {token}\r\n"


def _forged(issuer: Issuer) -> dict[str, str]:
    """Tokens that name every organisation and every role, and that nobody may believe."""
    all_of_it: dict[str, Any] = {"roles": ["reader", "writer", "operator"]}
    claims = issuer.claims(*ORGS, **all_of_it)
    ours, unknown = {"kid": issuer.key_id}, Issuer(issuer.key_id)
    public = issuer.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    good = issuer.token(*ORGS, **all_of_it)
    head, body, signature = good.split(".")
    return {
        "expired": issuer.token(*ORGS, **all_of_it, exp=int(time.time()) - 120),
        "signed with another key": unknown.token(*ORGS, **all_of_it),
        "signed with another trusted key": jwt.encode(claims, _SECOND.key, algorithm="EdDSA", headers=ours),
        "of a key that nobody knows": Issuer("test-9", issuer.key).token(*ORGS, **all_of_it),
        "signed with nothing": jwt.encode(claims, "", algorithm="none", headers=ours),
        "signed with the public key": jwt.encode(claims, public, algorithm="HS256", headers=ours),
        "for another audience": issuer.token(*ORGS, **all_of_it, aud="another"),
        "of another issuer": issuer.token(*ORGS, **all_of_it, iss="another"),
        "with a role that there is not": issuer.token(*ORGS, roles=["reader", "owner"]),
        "with organisations as texts": issuer.token(**all_of_it, orgs=["1", "2", "3"]),
        "with another's body": ".".join((head, issuer.token(**all_of_it).split(".")[1], signature)),
        "without its signature": f"{head}.{body}.",
    }


async def _strangers(house: House) -> Strangers:
    """Who knows everything but what is in the books: cursors, marks and ids of the others."""
    client, operator = house.server.client, house.operator
    cursors, marks = {}, {}
    settled = datetime.now(UTC).isoformat().replace("+00:00", "Z")  # as each one's next event says
    for org in ORGS:
        sale = event(int(f"{IDS[org]}4000"), org=org, property_=property_of(org), at=NOW)
        written = await client.post("/v1/events", params={"wait": "applied"}, headers=operator, json=sale)
        house.sent += 1
        marks[org] = written.json()["mark"]
        synced = await client.get("/v2/realtime/sync", params={"org_id": org}, headers=operator)
        cursors[org] = synced.json()["cursor"]
    tickets = [await client.post("/v2/realtime/tickets", headers=house.issuer.bearer(sub="none")) for _ in range(50)]
    document = (await client.get("/openapi/openapi.json")).json()
    return Strangers(
        document,
        _askers(house.issuer),
        NOW.date(),
        cursors,
        marks,
        {},
        [each.json()["ticket"] for each in tickets],
        settled,
    )


async def _seen_by_an_operator(house: House, strangers: Strangers) -> None:
    """Everything, of everybody; from now on it is cached, and its entity tags are known."""
    head = "".join(f"{name}: {value}\r\n" for name, value in house.operator.items())
    asked = strangers.controls(Asker("an operator", head, operator=True))
    answers = await pipelined(house.server.port, [each.request for each in asked])
    seen: Counter[tuple[str, int]] = Counter()
    tags = {}
    for attempt, answer in zip(asked, answers, strict=True):
        assert answer.status in attempt.statuses, (attempt.request, answer.shown)
        told = {mark: org for mark, org in orgs_in(answer.heard).items() if mark.startswith(b"9")}
        assert attempt.wants is not None
        assert set(told.values()) <= {attempt.wants}
        seen[attempt.route[1], attempt.wants] += len(told)
        for line in answer.heard.splitlines():
            if line.startswith(b"etag: "):
                tags[attempt.request.split()[1].decode()] = line.partition(b": ")[2].decode()
    blind = {(path, org) for _, path in {each.route for each in asked} for org in ORGS if not seen[path, org]}
    assert not blind, "what nobody sees cannot leak there"
    assert len(tags) > 50
    strangers.tags = tags


def _judge(attempts: Sequence[Attempt], answers: Sequence[Answered]) -> Counter[int]:
    """Raises AssertionError for the first answer that holds what is another's, or that is none of those expected."""
    for attempt, answer in zip(attempts, answers, strict=True):
        told = f"{attempt.asker.name}: {attempt.request[-900:]!r}\n{answer.shown}"
        assert not attempt.leaked(answer.heard), told
        assert answer.status in attempt.statuses, told
    return Counter(answer.status for answer in answers)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_no_request_is_answered_with_what_is_another_organisations(
    stream: Stream, servers: Servers, issuer: Issuer
) -> None:
    async with house_of(stream, servers, issuer) as house:
        strangers = await _strangers(house)
        await _seen_by_an_operator(house, strangers)
        trading = asyncio.create_task(house.trade())
        began, statuses = time.monotonic(), Counter[int]()
        asked: Counter[tuple[str, str]] = Counter()
        try:
            for at in range(0, ATTEMPTS, _AT_ONCE):
                attempts = strangers.made(min(_AT_ONCE, ATTEMPTS - at))
                asked.update(each.route for each in attempts)
                statuses += _judge(attempts, await pipelined(house.server.port, [each.request for each in attempts]))
        finally:
            trading.cancel()
            await asyncio.wait([trading])
        print(
            f"{sum(statuses.values())} requests in {time.monotonic() - began:.1f} s: {dict(sorted(statuses.items()))}"
        )
        assert set(asked) == set(strangers.routes)
        assert statuses[200] > ATTEMPTS // 50, "who asks for what is his own is answered"
        assert house.told > 10, "the books went on meanwhile"
        assert await stream.published() == house.sent, "nobody has sent anything but us"
        await stream.wait_until_consumed(house.sent)
    assert (await stream.prove()).differences == ()


async def test_other_methods_and_streams_tell_nothing_either(stream: Stream, servers: Servers, issuer: Issuer) -> None:
    async with house_of(stream, servers, issuer) as house:
        strangers, client = await _strangers(house), house.server.client
        paths = [
            f"/v1/orgs/2/properties/{property_of(2)}/balances/{NOW.date()}",
            f"/v1/orgs/2/overview?day={NOW.date()}",
        ]
        mine, theirs = issuer.bearer(1, sub="mine"), issuer.bearer(2, sub="theirs")
        for path in [*paths, "/v2/realtime/sync?org_id=2", "/v2/realtime/stream?org_id=2"]:
            for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "POST", "TRACE", "QUERY"):
                answer = await client.request(method, path, headers=mine)
                named = orgs_in(path.encode())
                assert orgs_in(answer.content + str(answer.headers).encode()).keys() <= named.keys()
                assert answer.status_code in {204, 400, 401, 403, 404, 405}, (method, path, answer.text)
        for headers, query in (
            (mine, {"org_id": "2"}),
            (mine | {"Last-Event-ID": strangers.cursors[2]}, {"org_id": "2"}),
            (mine, {"org_id": "2", "ticket": await _ticket(client, theirs)}),
            ({}, {"org_id": "2", "ticket": await _ticket(client, mine)}),
            (issuer.bearer(2, roles=["writer"]), {"org_id": "2"}),
        ):
            refused = await client.get("/v2/realtime/stream", params=query, headers=headers)
            assert refused.status_code == httpx.codes.FORBIDDEN, refused.text


async def _ticket(client: httpx.AsyncClient, headers: dict[str, str]) -> str:
    ticket: str = (await client.post("/v2/realtime/tickets", headers=headers)).json()["ticket"]
    return ticket


@pytest.mark.long
async def test_no_follower_is_told_of_another_organisation(stream: Stream, servers: Servers, issuer: Issuer) -> None:
    """Sockets that try for the others' books again and again, while those of all three change."""
    async with house_of(stream, servers, issuer) as house:
        strangers, stop = await _strangers(house), asyncio.Event()
        followers = [_Follower(house.server, strangers, issuer, number) for number in range(_SOCKETS)]
        trading = asyncio.create_task(house.trade())
        try:
            async with asyncio.TaskGroup() as tasks:
                following = [tasks.create_task(each.follow(stop)) for each in followers]
                await asyncio.wait(following, timeout=_FOLLOWED_SECONDS)
                stop.set()
        finally:
            trading.cancel()
            await asyncio.wait([trading])
        refused = sum(each.told["refused"] for each in followers)
        print(f"{refused} subscriptions refused, {sum(each.told['update'] for each in followers)} updates told")
        assert refused > 1_000
        assert all(each.told["update"] > 3 and each.told["resync"] for each in followers), "they are told of their own"


_SOCKETS: Final = 6
_FOLLOWED_SECONDS: Final = 6
_OF_A_ROUND: Final = 20


class _Follower:
    """One socket: its own organisation, again and again with cursors and ids of the others; and theirs."""

    def __init__(self, server: Server, strangers: Strangers, issuer: Issuer, number: int) -> None:
        self._server, self._strangers = server, strangers
        self._own = ORGS[number % len(ORGS)]
        self._headers = issuer.bearer(self._own, sub=f"follower-{number}")
        self.told: Counter[str] = Counter()
        self.random = Random(number)

    async def follow(self, stop: asyncio.Event) -> None:
        async with socket(self._server.socket_url, self._headers) as opened:
            await say(opened, type="subscribe", id="own", org_id=self._own)
            asking = asyncio.create_task(self._ask(opened, stop))
            async for line in opened:
                text = line if isinstance(line, bytes) else line.encode()
                others = {org for org in orgs_in(text).values() if org != self._own}
                assert not others, text
                said = json.loads(text)
                self.told[said["type"]] += 1
                if said["type"] == "refused" and said["id"].startswith("theirs"):
                    assert said["reason"] == "forbidden", said
            await asking

    async def _ask(self, opened: ClientConnection, stop: asyncio.Event) -> None:
        rounds, cursors = 0, self._strangers.cursors
        theirs = [org for org in ORGS if org != self._own]
        while not stop.is_set():
            rounds += 1
            other = theirs[rounds % 2]
            narrowed = {"properties": [property_of(other)]} if rounds % 2 else {}
            await say(opened, type="subscribe", id="mine", org_id=self._own, cursor=cursors[other], **narrowed)
            for number in range(_OF_A_ROUND):
                org, name = theirs[number % 2], f"theirs-{rounds}-{number}"
                cursor = {"cursor": cursors[self.random.choice(ORGS)]} if number % 3 else {}
                await say(opened, type="subscribe", id=name, org_id=org, **cursor)
                await say(opened, type="unsubscribe", id=name)
            await asyncio.sleep(0.2)
            await say(opened, type="unsubscribe", id="mine")
        await opened.close()


@pytest.mark.parametrize("wait", [{}, {"wait": "applied"}])
async def test_an_answer_is_repeated_to_nobody_who_may_not_have_it(
    stream: Stream, servers: Servers, issuer: Issuer, wait: dict[str, str]
) -> None:
    """Whoever knows key and body of a request, and even the same user once a right was taken away."""
    async with house_of(stream, servers, issuer) as house:
        client, sale = house.server.client, event(int(f"{IDS[2]}4000"), org=2, property_=property_of(2), at=NOW)
        mine = f"b|{uuid4()}"

        async def publish(sub: str, *orgs: int, key: str = mine, roles: Sequence[str] = ("reader", "writer")) -> Any:
            headers = issuer.bearer(*orgs, sub=sub, roles=list(roles)) | {"Idempotency-Key": key}
            return await client.post("/v1/events", params=wait, headers=headers, json=sale)

        first = await publish("auth|a", 2)
        again = await publish("auth|a", 2)
        assert "idempotent-replayed" not in first.headers
        assert again.is_success, again.text
        assert (again.headers["idempotent-replayed"], again.content) == ("true", first.content)
        if wait:
            assert MARKS[2].encode() in orgs_in(first.content), "an answer that would tell something"
        refused = [
            await publish("auth|a", 1),
            await publish("auth|a", 1, 3),
            await publish("auth|a", 2, roles=["reader"]),
            await publish("another", 1),
            await publish("auth", 1, key=f"a|{mine}"),
        ]
        assert [each.status_code for each in refused] == [httpx.codes.FORBIDDEN] * len(refused)
        assert not any(orgs_in(each.content) for each in refused)
        writer = await publish("auth|a", 2, roles=["writer"])
        other = await publish("auth", 2, key=f"a|{mine}")
        assert not orgs_in(writer.content), "who may no longer read is shown no balance"
        assert not {"idempotent-replayed"} & {*writer.headers, *other.headers}
