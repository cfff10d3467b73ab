"""Addresses of servers, judged before any driver sees them: a driver's complaint repeats what it could not read.

What is wrong with one is said without it: where a password was not percent-encoded, nobody can tell where it ends.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
FILES: Final = ("ca", "certificate", "key")
_ENCODED: Final = r"(?:[^\s:/?#@\[\]%]|%[0-9A-Fa-f]{2})*"
_SERVERS: Final = r"[^\s/?#@]*"
_URL: Final = re.compile(
    rf"(?P<scheme>[a-z+]+)://(?:(?P<user>{_ENCODED})(?::(?P<password>{_ENCODED}))?@)?(?P<servers>{_SERVERS})"
    r"(?P<path>/[^\s?#@]*)?(?:\?(?P<query>[^\s#]*))?"
)
_HOST: Final = r"(?:[^\s:/?#@\[\],]+|\[[0-9A-Fa-f:.]+\])"
_SERVER: Final = re.compile(rf"{_HOST}:[0-9]{{1,5}}")
# Of the database and the cache: a port may be missing, and the host where there is a socket instead.
_SERVER_IF_ANY: Final = re.compile(rf"(?:{_HOST}(?::[0-9]{{1,5}})?)?")
_ANATOMY: Final = (
    "expected is scheme://user:password@host:port/…, and of user and password the characters : / ? # % @ [ ] are "
    "percent-encoded (@ is %40)"
)


class Address:
    """Marks a setting that may hold a password: it is shown masked, and not at all where it is refused."""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """The parts of FOLIO_KAFKA_BOOTSTRAP."""

    protocol: str  # as Kafka calls it
    servers: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict)


_PROTOCOLS: Final = {"tls": "SSL", "sasl": "SASL_PLAINTEXT", "sasl+tls": "SASL_SSL"}


def checked_database(text: str | None) -> str | None:
    """The same text. Raises ValueError unless it is a URL of PostgreSQL."""
    return _checked(text, "postgresql", "postgres")


def checked_cache(text: str | None) -> str | None:
    """The same text. Raises ValueError unless it is a URL of Redis."""
    return _checked(text, "redis", "rediss", "unix")


def checked_broker(text: str | None) -> str | None:
    """The same text. Raises ValueError unless `broker_address` can read it."""
    if text:
        broker_address(text)
    return text


def broker_address(text: str) -> BrokerAddress:
    """The parts of an address as docs/security.md describes it. Raises ValueError, never with the text."""
    if "://" not in text:
        return BrokerAddress("PLAINTEXT", _servers(text))
    url = _URL.fullmatch(text)
    if url is None:
        raise ValueError(_ANATOMY)
    scheme, user, password = url["scheme"], url["user"], url["password"]
    if scheme not in _PROTOCOLS:
        raise ValueError(f"{scheme}:// is none of tls://, sasl://, sasl+tls://")
    if url["path"] not in (None, "/"):
        raise ValueError("nothing belongs between host:port and ?")
    logs_in = scheme.startswith("sasl")
    if logs_in and not (user and password):
        raise ValueError(f"{scheme}:// needs user:password@")
    if not logs_in and user is not None:
        raise ValueError(f"{scheme}:// has no place for user:password@")
    options = _options(url["query"], scheme)
    servers = _servers(url["servers"])
    return BrokerAddress(_PROTOCOLS[scheme], servers, unquote(user or ""), unquote(password or ""), options)


def _options(query: str | None, scheme: str) -> dict[str, str]:
    options = dict(parse_qsl(query or "", keep_blank_values=True))
    fitting = (*(FILES if scheme.endswith("tls") else ()), *(("mechanism",) if scheme.startswith("sasl") else ()))
    if options.keys() - set(fitting):
        raise ValueError(f"of options {scheme}:// takes {', '.join(fitting)}; {_ANATOMY}")
    if options.get("mechanism", MECHANISMS[0]) not in MECHANISMS:
        raise ValueError(f"mechanism must be one of {', '.join(MECHANISMS)}")
    if options.get("mechanism") == "PLAIN" and not scheme.endswith("tls"):
        raise ValueError("mechanism=PLAIN shows the password to the network; take sasl+tls://")
    if ("certificate" in options) != ("key" in options):
        raise ValueError("certificate and key go together")
    return options


def _servers(text: str) -> str:
    servers = [each.strip() for each in text.split(",")]
    if not all(_SERVER.fullmatch(each) for each in servers):
        raise ValueError(f"host:port[,host:port] is expected, with a login: {_ANATOMY}")
    return ",".join(servers)


def _checked(text: str | None, *schemes: str) -> str | None:
    if text:
        url = _URL.fullmatch(text)
        if url is None:
            raise ValueError(_ANATOMY)
        if url["scheme"] not in schemes:
            raise ValueError(f"{' or '.join(f'{each}://' for each in schemes)} is expected")
        if not all(_SERVER_IF_ANY.fullmatch(each) for each in url["servers"].split(",")):
            raise ValueError(f"host[:port] is expected, and a port is a number; {_ANATOMY}")
    return text
