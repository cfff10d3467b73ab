"""Asking a server itself whether it serves, and which version it is: the only proof of readiness.

Each probe returns a version (or what comes nearest to one), or raises `NotReady` with the reason.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import redis
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError

import sql
from pipeline.broker import broker_options
from pipeline.errors import SettingsRefused, Transient
from pipeline.stack.config import REPLICAS, PartName

# A loopback server that serves answers within milliseconds; an external one may be a continent away.
TIMEOUT_SECONDS = 5.0
RESPONSE_BYTES_MAX = 1_000_000
METADATA = 3
# TLS takes leave of the other side before a connection is closed.
_GOODBYE_SECONDS = 0.1
_UNREGISTERED = "the broker is not registered with its controller yet"


class NotReady(Transient):
    """The server does not serve yet; the message says what it, or the network, answered."""


Probe = Callable[[str], str]


def postgres(url: str) -> str:
    """Log in and ask; returns e.g. `18.6`."""
    answer = ask(url, "SHOW server_version")
    assert answer is not None
    return str(answer[0])


def standby(url: str) -> str:
    """As `postgres`, of a server that follows another one at this moment."""
    position = ask(url, sql.query("server_position"))
    assert position is not None
    if not position["in_recovery"]:
        raise NotReady("it is no standby any more")
    if position["receiver"] != "streaming":
        raise NotReady(f"it does not follow its primary ({position['receiver'] or 'not connected'})")
    return str(position["version"])


def ask(url: str, statement: str, *arguments: object) -> asyncpg.Record | None:
    """One statement's first row, over a connection of its own. Raises NotReady."""
    # A thread of its own: the caller may stand inside a running event loop.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _ask(url, statement, arguments)).result()


async def _ask(url: str, statement: str, arguments: Sequence[object]) -> asyncpg.Record | None:
    try:
        connection = await asyncpg.connect(url, timeout=TIMEOUT_SECONDS, command_timeout=TIMEOUT_SECONDS)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        raise NotReady(_reason(exc)) from exc
    try:
        return await connection.fetchrow(statement, *arguments)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        raise NotReady(_reason(exc)) from exc
    finally:
        connection.terminate()


def valkey(url: str) -> str:
    """PING, then ask; returns e.g. `Valkey 9.1.2`."""
    try:
        client = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, retry=None
        )
    except ValueError as exc:
        raise NotReady(str(exc)) from exc
    try:
        client.ping()
        info = client.info("server")
    except (redis.RedisError, OSError) as exc:
        raise NotReady(_reason(exc)) from exc
    finally:
        client.close()
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', '?')}"


def kafka(bootstrap: str) -> str:
    """Ask any bootstrap broker for its cluster; returns e.g. `1 broker`.

    A Metadata request, not a bare connect: a KRaft broker listens before the controller has let it in, and
    until then its metadata names no broker, and every CreateTopics fails.
    """
    # By hand where nothing is encrypted: the client would log each attempt, and a start makes dozens.
    if "://" in bootstrap:
        with ThreadPoolExecutor(1) as pool:
            return _counted(pool.submit(asyncio.run, _kafka_by_login(bootstrap)).result())
    reason = f"no address in {bootstrap!r}"
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdigit():
            reason = f"{address!r} is not host:port"
            continue
        try:
            brokers = _brokers(host.strip("[]"), int(port))
        except (OSError, EOFError, struct.error) as exc:
            reason = _reason(exc)
            continue
        if brokers:
            return _counted(brokers)
        reason = _UNREGISTERED
    raise NotReady(reason)


async def _kafka_by_login(address: str) -> int:
    """With TLS or a login, which are the client's affair. Raises NotReady with the first server's reason."""
    try:
        options = broker_options(address)
    except SettingsRefused as exc:
        raise NotReady(str(exc)) from exc
    milliseconds = round(TIMEOUT_SECONDS * 1_000)
    client = AIOKafkaClient(**options, request_timeout_ms=milliseconds)
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await client.bootstrap()
    except (OSError, TimeoutError, KafkaError) as exc:
        raise NotReady(await _why_not(options, milliseconds) or _reason(exc)) from exc
    finally:
        await client.close()
        await asyncio.sleep(_GOODBYE_SECONDS)
    if not client.cluster.brokers():
        raise NotReady(_UNREGISTERED)
    return len(client.cluster.brokers())


async def _why_not(options: Mapping[str, Any], request_timeout_ms: int) -> str:
    """What the first server answers: of itself the client tells its caller only that it cannot reach any."""
    host, _, port = options["bootstrap_servers"].split(",")[0].rpartition(":")
    others = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    try:
        connection = await create_conn(host.strip("[]"), int(port), request_timeout_ms=request_timeout_ms, **others)
    except (OSError, TimeoutError, KafkaError) as exc:
        return _reason(exc)
    connection.close()
    return ""


def _counted(brokers: int) -> str:
    return f"{brokers} broker{'s' if brokers > 1 else ''}"


def _brokers(host: str, port: int) -> int:
    # Metadata version 1 about no topics; its answer begins with the correlation id and the live brokers.
    # https://kafka.apache.org/protocol.html#The_Messages_Metadata
    client = b"folio"
    body = struct.pack(">hhih", METADATA, 1, 1, len(client)) + client + struct.pack(">i", 0)
    with socket.create_connection((host, port), TIMEOUT_SECONDS) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        connection.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", _receive(connection, 4))
        if not 8 <= size <= RESPONSE_BYTES_MAX:
            raise EOFError("the answer is not Kafka's")
        _, brokers = struct.unpack(">ii", _receive(connection, size)[:8])
    return int(brokers)


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise EOFError("the connection was closed instead of answered; does the listener want TLS or SASL?")
        received += chunk
    return received


def _reason(exc: BaseException) -> str:
    return (str(exc) or type(exc).__name__).splitlines()[0]


PROBES: Mapping[PartName, Probe] = {
    "postgres": postgres,
    "kafka": kafka,
    "valkey": valkey,
    **dict.fromkeys(REPLICAS, standby),
}
