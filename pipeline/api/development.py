"""Tokens and cursors of the local stack: by keys of its own, for whoever has the checkout asks as a customer would."""

import json
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pipeline.api.tokens import Role
from pipeline.errors import SettingsRefused
from pipeline.realtime.cursor import SECRET_BYTES_MIN
from pipeline.settings_serving import ApiSettings

KEY_ID: Final = "local-stack"
_FILE: Final = "token-key.pem"
_SECRET_NAME: Final = "cursor-secret"  # noqa: S105  # of a file
_ALGORITHM: Final = "EdDSA"


def development_keys(stack_dir: Path) -> dict[str, jwt.PyJWK]:
    """The public key of the local stack; made where there is none yet. Raises SettingsRefused."""
    public = jwt.algorithms.OKPAlgorithm.to_jwk(_private_key(stack_dir).public_key(), as_dict=True)
    return {KEY_ID: jwt.PyJWK.from_json(json.dumps({**public, "kid": KEY_ID, "alg": _ALGORITHM}))}


def development_token(
    stack_dir: Path, settings: ApiSettings, subject: str, orgs: Sequence[int], roles: Sequence[Role], seconds: int
) -> str:
    """A token that the local stack's servers believe, and nobody else. Raises SettingsRefused."""
    now = int(time.time())
    claims = {
        "sub": subject,
        "orgs": list(orgs),
        "roles": [role.value for role in roles],
        "iss": settings.token_issuer,
        "aud": settings.token_audience,
        "iat": now,
        "exp": now + seconds,
    }
    return jwt.encode(claims, _private_key(stack_dir), algorithm=_ALGORITHM, headers={"kid": KEY_ID})


def development_secret(stack_dir: Path) -> bytes:
    """What cursors of the local stack are signed with. Raises SettingsRefused."""
    path = stack_dir / _SECRET_NAME
    try:
        if not path.exists():
            _make(path, secrets.token_hex(SECRET_BYTES_MIN).encode())
        secret = path.read_bytes()
    except OSError as error:
        raise SettingsRefused(f"{path} holds no secret for cursors: {error}") from error
    if len(secret) < SECRET_BYTES_MIN:
        raise SettingsRefused(f"{path} holds a secret that is too short; remove it for a new one")
    return secret


def _private_key(stack_dir: Path) -> Ed25519PrivateKey:
    path = stack_dir / _FILE
    try:
        if not path.exists():
            _make(path, Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise SettingsRefused(f"{path} holds no key to sign tokens with: {error}; remove it for a new one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsRefused(f"{path} holds a key of another kind than Ed25519; remove it for a new one")
    return key


def _make(path: Path, content: bytes) -> None:
    """Whole or not at all, whoever else makes it at the same moment: the first one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    try:
        os.link(mine, path)
    except FileExistsError:
        pass
    finally:
        mine.unlink()
