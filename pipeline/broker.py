"""How the broker is reached: FOLIO_KAFKA_BOOTSTRAP (`pipeline.addresses`) as the arguments of any aiokafka client.

Certificates and names of hosts are always checked; without `ca` those count that the machine trusts.
"""

from functools import cache
from pathlib import Path
from ssl import SSLContext, SSLError
from typing import Any

from aiokafka.helpers import create_ssl_context

from pipeline.addresses import FILES, MECHANISMS, broker_address
from pipeline.errors import SettingsRefused


def broker_options(address: str) -> dict[str, Any]:
    """What a client must be given to reach the broker. Raises SettingsRefused over a file of certificates."""
    parts = broker_address(address)
    options: dict[str, Any] = {"bootstrap_servers": parts.servers, "security_protocol": parts.protocol}
    if "SSL" in parts.protocol:
        options["ssl_context"] = _context(*(parts.options.get(name) for name in FILES))
    if parts.protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": parts.options.get("mechanism", MECHANISMS[0]),
            "sasl_plain_username": parts.user,
            "sasl_plain_password": parts.password,
        }
    return options


def servers_of(address: str) -> str:
    """host:port[,host:port] of an address, for people: without login and options."""
    return broker_address(address).servers


@cache  # every client of a process shares one
def _context(ca: str | None, certificate: str | None, key: str | None) -> SSLContext:
    for file in (ca, certificate, key):
        if file is not None and not Path(file).is_file():
            raise SettingsRefused(f"FOLIO_KAFKA_BOOTSTRAP names {file}, and there is no such file")
    try:
        # A key that is encrypted is refused: left alone, OpenSSL would ask the terminal for its password, and wait.
        context: SSLContext = create_ssl_context(
            cafile=ca, certfile=certificate, keyfile=key, password=lambda: "" if key else None
        )
    except (SSLError, OSError) as error:
        files = ", ".join(file for file in (ca, certificate, key) if file is not None)
        raise SettingsRefused(
            f"FOLIO_KAFKA_BOOTSTRAP: {files}: {error}; PEM files are expected, the key not encrypted"
        ) from error
    return context
