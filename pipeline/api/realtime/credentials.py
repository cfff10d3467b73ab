"""Whose connection it is that stays: asked again as long as it does."""

from functools import partial

from pipeline.api.access import Connection, bearer_of, principal_of
from pipeline.api.realtime.admission import Credential
from pipeline.api.tokens import Principal, TokenRefused, Tokens


def credential_of(connection: Connection) -> Credential:
    """By the token of the header. Raises TokenRefused."""
    principal_of(connection)
    return by_token(connection.app.state.tokens, bearer_of(connection))


def by_token(tokens: Tokens, text: str) -> Credential:
    """As long as the token is believed, and its key."""
    return partial(tokens.principal, text)


def by_principal(principal: Principal) -> Credential:
    """Who was believed once, until the token that it was for has ended."""

    def who() -> Principal:
        if principal.expired:
            raise TokenRefused("the token has expired")
        return principal

    return who
