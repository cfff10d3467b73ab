"""Which pages of a browser may ask: those from here, and those of an allow-list.

For an ordinary request the browser keeps an answer from a foreign page (CORS). Over a WebSocket it keeps nothing, and a
one-use ticket in an address is sent by any page that has it: there the server has to look itself (RFC 6455, 10.2).
"""

from typing import Final
from urllib.parse import urlsplit

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def allowed_origin(origin: str | None, allowed: str | None, host: str | None) -> bool:
    """Whether a page of that origin may ask.

    `origin`: the header; None: no browser asks, and nobody is tricked. `allowed`: FOLIO_API_CORS_ORIGINS. `host`: the
    request's Host. Its scheme is not compared, for TLS may end before us: whoever can make a page on this very host and
    port can as well ask from it. "null", of a sandboxed page or a file, is nobody's origin.
    """
    if origin is None:
        return True
    asking = _host_and_port(origin)
    if asking is None:
        return False
    if allowed is not None and origin.lower() in allowed.lower().split(","):
        return True
    scheme, *place = asking
    served = _host_and_port(f"{scheme}://{host}") if host else None
    return served is not None and list(served[1:]) == place


def _host_and_port(origin: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of what a browser calls an origin; None for anything else."""
    try:
        parts = urlsplit(origin)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if port is None or not parts.hostname or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port
