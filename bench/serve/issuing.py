"""Whoever issues the tokens of a run: a key that lives as long as the run does, and is known to its servers alone."""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_ISSUER: Final = "folio-bench"
_AUDIENCE: Final = "folio-bench"
_KEY_ID: Final = "bench-1"
_LIFE_SECONDS: Final = 4 * 3_600  # the longest run of the full form, and then some
OPERATOR: Final = "operator"
READER: Final = "reader"
WRITER: Final = "writer"


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes_raw()


@dataclass(frozen=True, slots=True)
class Issuer:
    """Makes tokens. It travels to the processes of the clients, which make their own."""

    key: bytes = field(default_factory=_new_key, repr=False)

    def publish(self, path: Path) -> Path:
        """The public key as a set of keys (JWKS, RFC 7517)."""
        public = Ed25519PrivateKey.from_private_bytes(self.key).public_key()
        jwk = jwt.algorithms.OKPAlgorithm.to_jwk(public, as_dict=True)
        path.write_bytes(msgspec.json.encode({"keys": [{**jwk, "kid": _KEY_ID, "alg": "EdDSA", "use": "sig"}]}))
        return path

    def settings(self, folder: Path) -> dict[str, str]:
        """The settings, without FOLIO_, of a server that believes these tokens and no others."""
        return {
            "API_JWKS_PATH": str(self.publish(folder / "keys.json")),
            "API_TOKEN_ISSUER": _ISSUER,
            "API_TOKEN_AUDIENCE": _AUDIENCE,
        }

    def token(self, subject: str, orgs: Collection[int], *roles: str) -> str:
        """A token of a user of these organisations; without roles: one who reads."""
        now = int(time.time())
        claims = {"sub": subject, "orgs": sorted(orgs), "roles": roles or (READER,), "iss": _ISSUER, "aud": _AUDIENCE}
        key = Ed25519PrivateKey.from_private_bytes(self.key)
        whole = claims | {"iat": now, "exp": now + _LIFE_SECONDS}
        return jwt.encode(whole, key, algorithm="EdDSA", headers={"kid": _KEY_ID})
