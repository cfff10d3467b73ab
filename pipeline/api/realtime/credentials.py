"""Whose connection it is that stays: asked again as long as it does."""

from functools import partial
from typing import Final

from pipeline.api.access import Connection, bearer_of, header_of, principal_of, says_who
from pipeline.api.origins import allowed_origin
from pipeline.api.problems import Forbidden
from pipeline.api.realtime.admission import Credential
from pipeline.api.tickets import Tickets
from pipeline.api.tokens import Principal, TokenRefused, Tokens

_TICKET: Final = "ticket"


async def credential_of(connection: Connection, tickets: Tickets) -> Credential | None:
    """By the token of the header, else by the ticket of the address; None where neither is there.

    Raises TokenRefused; Forbidden for a page of a browser that may not ask; CacheUnavailable, NotAsked for a ticket.
    """
    origin, host = (header_of(connection, name).decode("latin-1") or None for name in (b"origin", b"host"))
    if not allowed_origin(origin, connection.app.state.cors_origins, host):
        raise Forbidden("pages of this origin may not ask: FOLIO_API_CORS_ORIGINS names those that may")
    if says_who(connection):
        principal_of(connection)
        return by_token(connection.app.state.tokens, bearer_of(connection))
    ticket = connection.query_params.get(_TICKET)
    return _by_principal(connection.app.state.tokens, await tickets.redeem(ticket)) if ticket is not None else None


async def require_credential(connection: Connection, tickets: Tickets) -> Credential:
    """As `credential_of`. Raises TokenRefused where neither is there, too."""
    credential = await credential_of(connection, tickets)
    if credential is None:
        raise TokenRefused("send `Authorization: Bearer <token>`, or a ticket in the address (`ticket`)")
    return credential


def by_token(tokens: Tokens, text: str) -> Credential:
    """As long as the token is believed, and its key."""
    return partial(tokens.principal, text)


def _by_principal(tokens: Tokens, principal: Principal) -> Credential:
    """Whom the ticket was for, as long as the token that it was asked for with would be believed, and its key."""

    def who() -> Principal:
        if principal.expired:
            raise TokenRefused("the token has expired")
        tokens.require_key(principal)
        return principal

    return who
