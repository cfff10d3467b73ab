"""From a request to who asks, and to what may be done for them: the same few steps on every route.

Guards are coroutines, though they await nothing: others would run in threads, at the cost of the whole rest.
"""

from collections.abc import Iterable
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from pipeline.api.problems import Forbidden
from pipeline.api.tokens import Principal, Role, TokenRefused, Tokens

_SCHEME: Final = b"bearer "
PRINCIPAL: Final = "principal"  # where it is left in the connection's state: each request asks several times

Connection = ASGIConnection[Any, Any, Any, Any]


def principal_of(connection: Connection) -> Principal:
    """Who asks. Raises TokenRefused."""
    known: Principal | None = getattr(connection.state, PRINCIPAL, None)
    if known is not None:
        return known
    tokens: Tokens = connection.app.state.tokens
    principal = tokens.principal(bearer_of(connection))
    connection.state[PRINCIPAL] = principal
    return principal


def bearer_of(connection: Connection) -> str:
    """The token of the header. Raises TokenRefused where there is none."""
    token = token_in(connection.scope["headers"])
    if token is None:
        raise TokenRefused("send `Authorization: Bearer <token>`")
    return token


def token_in(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The bearer's token, of headers as they came; None where there is none."""
    header = next((value for name, value in headers if name == b"authorization"), b"")
    if header[: len(_SCHEME)].lower() != _SCHEME:
        return None
    return header[len(_SCHEME) :].strip().decode("latin-1")


def says_who(connection: Connection) -> bool:
    """Whether the header is there at all."""
    return header_of(connection, b"authorization") != b""


def header_of(connection: Connection, wanted: bytes) -> bytes:
    """As it came, or empty: an object made of all headers would be kept as long as a connection that stays."""
    return next((value for name, value in connection.scope["headers"] if name == wanted), b"")


def require_organisation(principal: Principal, org_id: int) -> None:
    """Raises Forbidden unless the organisation is one of the token's, and it may read.

    Another organisation and one that does not exist get the same answer: which ones there are is nobody's business.
    """
    if not principal.may_see(org_id) or not principal.has(Role.READER):
        raise Forbidden(f"organisation {org_id} takes a token that names it in `orgs`, with the role `reader`")


async def own_organisation(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard: the organisation of the path is one of the token's."""
    require_organisation(principal_of(connection), connection.path_params["org_id"])


async def operators_only(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard: the token has the role `operator`."""
    if Role.OPERATOR not in principal_of(connection).roles:
        raise Forbidden("this takes a token with the role `operator`")


async def writers_only(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard: the token has the role `writer`; whose events they are is seen in the body."""
    if not principal_of(connection).has(Role.WRITER):
        raise Forbidden("publishing takes a token with the role `writer`")
