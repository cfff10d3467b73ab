"""Where the console is, with a token in it: for who has the local stack, and so its keys, at hand."""

from typing import Final

from pipeline.api.development import development_token
from pipeline.api.tokens import Role
from pipeline.settings import Settings

_SECONDS: Final = 8 * 3_600  # a working day


def console_address(settings: Settings, server: str) -> str:
    """An address to click. A browser sends no fragment to anybody, and the page takes it out of the address at once.

    Without a token where others issue those: the page asks for one. Raises SettingsRefused.
    """
    address = f"{server}/console"
    if not of_local_stack(settings):
        return address
    return f"{address}#token={development_token(settings.stack.dir, settings.api, '1', [], [Role.OPERATOR], _SECONDS)}"


def of_local_stack(settings: Settings) -> bool:
    """Whether the stack's own key is believed."""
    return settings.api.jwks_path is None and settings.database.url is None
