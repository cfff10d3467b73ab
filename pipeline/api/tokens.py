"""Who asks: a signed token (JWT, RFC 7519) whose issuer is trusted, turned into what its holder may do."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import jwt
from cachetools import TTLCache

from pipeline.errors import SettingsRefused

# Pinned: what a token says of its own algorithm is believed only among these, and all of them are asymmetric, so that
# who can verify a token cannot make one.
ALGORITHMS: Final = ("EdDSA", "ES256", "RS256")
# A header of 8 KiB is what servers take by default; a token that names a thousand organisations has 8,000 bytes.
TOKEN_BYTES_MAX: Final = 8_192
_KEYS_MAX: Final = 32
_KEY_FILE_BYTES_MAX: Final = 262_144
# Verifying a signature takes 100 µs, finding it again one. Nobody is believed beyond a token's own end.
_REMEMBERED_MAX: Final = 10_000
_REMEMBERED_SECONDS: Final = 60.0
_LEEWAY_SECONDS: Final = 30.0


class Role(StrEnum):
    """What a token may do with its organisations; an operator sees the system, and every organisation."""

    READER = "reader"
    WRITER = "writer"
    OPERATOR = "operator"


class TokenRefused(Exception):
    """There is no token, or nothing can be believed of it; the message says why, and nothing of its content."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who holds a token that was verified."""

    subject: str
    orgs: frozenset[int]
    roles: frozenset[Role]
    expires_at: float  # seconds since 1970
    key_id: str = ""  # of the key that the token was signed with

    @property
    def expired(self) -> bool:
        return self.expires_at + _LEEWAY_SECONDS <= time.time()

    def may_see(self, org_id: int) -> bool:
        return org_id in self.orgs or Role.OPERATOR in self.roles

    def has(self, role: Role) -> bool:
        return role in self.roles or Role.OPERATOR in self.roles


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose tokens are believed, and for whom they must have been made."""

    keys: Mapping[str, jwt.PyJWK]  # by key id
    issuer: str
    audience: str


def read_keys(path: Path) -> dict[str, jwt.PyJWK]:
    """The public keys of a JWKS file (RFC 7517). Raises SettingsRefused."""
    try:
        if path.stat().st_size > _KEY_FILE_BYTES_MAX:
            raise SettingsRefused(f"{path}: larger than {_KEY_FILE_BYTES_MAX:,} bytes, which no set of keys is")
        keys = jwt.PyJWKSet.from_json(path.read_text(encoding="utf-8")).keys
    except (OSError, UnicodeDecodeError, jwt.PyJWTError, ValueError) as error:
        raise SettingsRefused(f"FOLIO_API_JWKS_PATH: {path} holds no set of public keys (JWKS): {error}") from error
    if len(keys) > _KEYS_MAX:
        raise SettingsRefused(f"FOLIO_API_JWKS_PATH: {path} holds {len(keys)} keys; {_KEYS_MAX} are accepted")
    named = {key.key_id: key for key in keys if key.key_id and key.algorithm_name in ALGORITHMS}
    if len(named) != len(keys):
        raise SettingsRefused(
            f"FOLIO_API_JWKS_PATH: each key of {path} needs a `kid` of its own, and one of {', '.join(ALGORITHMS)}"
        )
    return named


class Tokens:
    """Verifies tokens, and remembers for a moment which ones it has verified."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        # By a digest: ten thousand tokens of the largest size would be 80 MB.
        self._verified: TTLCache[bytes, Principal] = TTLCache(_REMEMBERED_MAX, _REMEMBERED_SECONDS)

    def trust(self, keys: Mapping[str, jwt.PyJWK]) -> None:
        """From now on these keys, and no others: what was verified with a former one is to be verified again."""
        self._trust = replace(self._trust, keys=keys)
        self._verified.clear()

    def require_key(self, principal: Principal) -> None:
        """Of whoever shows no token any more. Raises TokenRefused where the key of his is trusted no longer."""
        if principal.key_id not in self._trust.keys:
            raise TokenRefused("the key that the token was signed with is trusted no more")

    def remembered(self, token: str) -> Principal | None:
        """Who holds it, where it was verified a moment ago and has not expired: that costs next to nothing."""
        known = self._believed(_digest(token))
        return known if known is not None and not known.expired else None

    def principal(self, token: str) -> Principal:
        """Who holds it. Raises TokenRefused."""
        digest = _digest(token)
        known = self._believed(digest)
        if known is None:
            known = self._verified[digest] = self._verify(token)
        if known.expired:
            raise TokenRefused("the token has expired")
        return known

    def _believed(self, digest: bytes) -> Principal | None:
        try:
            return self._verified[digest]
        except KeyError:
            return None

    def _verify(self, token: str) -> Principal:
        if len(token) > TOKEN_BYTES_MAX:
            raise TokenRefused(f"a token has {TOKEN_BYTES_MAX:,} bytes at most")
        try:
            key_id = str(jwt.get_unverified_header(token).get("kid"))
            key = self._trust.keys.get(key_id)
            if key is None:
                raise TokenRefused("the token names no key that is trusted here (`kid`)")
            claims = jwt.decode(
                token,
                key,
                algorithms=[str(key.algorithm_name)],
                audience=self._trust.audience,
                issuer=self._trust.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "sub", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(f"the token is not valid: {error}") from error
        return _principal(claims, key_id)


def _digest(token: str) -> bytes:
    return blake2b(token.encode(), digest_size=32).digest()


def _principal(claims: Mapping[str, Any], key_id: str) -> Principal:
    orgs, roles = claims.get("orgs", []), claims.get("roles", [])
    if not isinstance(orgs, list) or not all(type(org) is int and org > 0 for org in orgs):
        raise TokenRefused("the claim `orgs` must be a list of organisation ids")
    known = {each.value for each in Role}
    if not isinstance(roles, list) or not all(isinstance(role, str) and role in known for role in roles):
        raise TokenRefused(f"the claim `roles` must be a list of {', '.join(sorted(known))}")
    allowed = frozenset(Role(role) for role in roles)
    return Principal(claims["sub"], frozenset(orgs), allowed, float(claims["exp"]), key_id)
