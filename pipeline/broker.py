"""How the broker is reached: FOLIO_KAFKA_BOOTSTRAP as the arguments of any aiokafka client.

    host:port[,host:port...]                         in the clear
    tls://host:port,...?ca=FILE                      encrypted; &certificate=FILE&key=FILE to show who we are
    sasl://user:password@host:port,...               a login: SCRAM-SHA-512, or &mechanism=SCRAM-SHA-256, PLAIN
    sasl+tls://user:password@host:port,...?ca=FILE   both

As the database's and the cache's, the address is a URL with everything in it, so that it can come from one secret.
Certificates and names of hosts are always checked; without `ca` those count that the machine trusts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from ssl import SSLContext, SSLError
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from aiokafka.helpers import create_ssl_context

from pipeline.errors import SettingsRefused
from pipeline.masking import masked

_PROTOCOLS: Final = {"": "PLAINTEXT", "tls": "SSL", "sasl": "SASL_PLAINTEXT", "sasl+tls": "SASL_SSL"}
_MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
_FILES: Final = ("ca", "certificate", "key")
_FORM: Final = "host:port[,host:port], or tls://, sasl:// or sasl+tls:// before them; see docs/settings.md"


@dataclass(frozen=True, slots=True)
class _Address:
    """The parts of an address, each checked."""

    protocol: str
    servers: str
    user: str | None
    password: str | None
    options: Mapping[str, str]


def broker_options(address: str) -> dict[str, Any]:
    """What a client must be given to reach the broker.

    Raises SettingsRefused saying what of the address is wrong; the password is never in the message.
    """
    parts = _parts(address)
    options: dict[str, Any] = {"bootstrap_servers": parts.servers, "security_protocol": parts.protocol}
    if "SSL" in parts.protocol:
        options["ssl_context"] = _context(*(parts.options.get(name) for name in _FILES))
    if parts.protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": parts.options.get("mechanism", _MECHANISMS[0]),
            "sasl_plain_username": parts.user,
            "sasl_plain_password": parts.password,
        }
    return options


def servers_of(address: str) -> str:
    """host:port[,host:port] of an address, for people: without login and options."""
    return _parts(address).servers


def _parts(address: str) -> _Address:
    if "://" not in address:
        return _Address("PLAINTEXT", address, None, None, {})
    url = urlsplit(address)
    if url.scheme not in _PROTOCOLS:
        raise _refused(address, f"{url.scheme}:// is none of tls://, sasl://, sasl+tls://")
    # By hand: several hosts, and a password that was not percent-encoded, are more than a URL's parser expects.
    login, _, servers = url.netloc.rpartition("@")
    user, _, password = login.partition(":")
    known = (*_FILES, "mechanism")
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - set(known)):
        raise _refused(address, f"{unknown[0]} is none of {', '.join(known)}")
    if url.scheme.startswith("sasl") != bool(user and password):
        wants = "needs" if url.scheme.startswith("sasl") else "has no place for"
        raise _refused(address, f"{url.scheme}:// {wants} user:password@")
    if options.get("mechanism", _MECHANISMS[0]) not in _MECHANISMS:
        raise _refused(address, f"mechanism must be one of {', '.join(_MECHANISMS)}")
    if not servers or url.path not in ("", "/"):
        raise _refused(address, "no host:port")
    return _Address(_PROTOCOLS[url.scheme], servers, unquote(user), unquote(password), options)


@cache  # every client of a process shares one
def _context(ca: str | None, certificate: str | None, key: str | None) -> SSLContext:
    for file in (ca, certificate, key):
        if file is not None and not Path(file).is_file():
            raise SettingsRefused(f"FOLIO_KAFKA_BOOTSTRAP names {file}, and there is no such file")
    try:
        context: SSLContext = create_ssl_context(cafile=ca, certfile=certificate, keyfile=key)
    except (SSLError, OSError) as error:
        files = ", ".join(file for file in (ca, certificate, key) if file is not None)
        raise SettingsRefused(f"FOLIO_KAFKA_BOOTSTRAP: {files}: {error}; PEM files are expected") from error
    return context


def _refused(address: str, why: str) -> SettingsRefused:
    return SettingsRefused(f"FOLIO_KAFKA_BOOTSTRAP={masked(address)!r} is refused: {why}; accepted: {_FORM}")
