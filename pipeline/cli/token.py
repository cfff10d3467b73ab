"""folio token: a token for the local stack."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pipeline import settings as settings_module
from pipeline.api.development import development_token
from pipeline.api.tokens import Role
from pipeline.errors import SettingsRefused


def token(
    *,
    org: Annotated[list[int] | None, Parameter(negative="")] = None,
    role: Annotated[list[Role] | None, Parameter(negative="")] = None,
    user: str = "1",
    seconds: Annotated[int, Parameter(validator=Number(gte=1, lte=86_400))] = 3_600,
) -> int:
    """Print a token that `folio serve` on the local stack believes. For development: others issue their own.

    Parameters
    ----------
    org
        An organisation that its holder may ask about; several times for several. An operator sees every one.
    role
        reader (without any role named), writer or operator; several times for several.
    user
        Who holds it.
    seconds
        How long it is good for.
    """
    settings = settings_module.load()
    if settings.api.jwks_path is not None:
        raise SettingsRefused("FOLIO_API_JWKS_PATH names whose tokens are believed: ask them for one")
    roles = role or [Role.READER]
    if not org and Role.OPERATOR not in roles:
        raise SettingsRefused(
            "--org: whoever is no operator sees the organisations of the token, and it would have none"
        )
    print(development_token(settings.stack.dir, settings.api, user, org or [], roles, seconds))
    return 0
