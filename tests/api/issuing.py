"""Whoever issues tokens: a key of its own, published as a set of keys."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ISSUER, AUDIENCE = "https://issuer.test", "folio-test"


@dataclass
class Issuer:
    """Makes tokens, good ones and others."""

    key_id: str = "test-1"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def publish(self, path: Path) -> Path:
        public = jwt.algorithms.OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        path.write_text(json.dumps({"keys": [{**public, "kid": self.key_id, "alg": "EdDSA", "use": "sig"}]}))
        return path

    def claims(self, *orgs: int, **changed: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"sub": "7", "orgs": list(orgs), "roles": ["reader"], "iss": ISSUER, "aud": AUDIENCE}
        return {**claims, "iat": now, "exp": now + 600, **changed}

    def token(self, *orgs: int, **changed: Any) -> str:
        headers = {"kid": self.key_id}
        return jwt.encode(self.claims(*orgs, **changed), self.key, algorithm="EdDSA", headers=headers)

    def bearer(self, *orgs: int, **changed: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(*orgs, **changed)}"}
