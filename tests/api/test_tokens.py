"""A token whose signature is good, and whose claims say something else than they should."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.api.tokens import TokenRefused, Tokens, Trust, read_keys
from tests.api.issuing import AUDIENCE, ISSUER, Issuer


@pytest.mark.parametrize(
    "claims",
    [
        {"roles": [5]},
        {"roles": [None]},
        {"roles": [{"reader": True}]},
        {"roles": [["reader"]]},
        {"roles": ["root"]},
        {"roles": "reader"},
        {"orgs": ["1"]},
        {"orgs": [True]},
        {"orgs": [0]},
        {"orgs": {"1": True}},
        {"sub": 7},
    ],
)
def test_claims_of_another_kind_are_refused_as_a_token(issuer: Issuer, tmp_path: Path, claims: dict[str, Any]) -> None:
    tokens = Tokens(Trust(read_keys(issuer.publish(tmp_path / "keys.json")), ISSUER, AUDIENCE))
    with pytest.raises(TokenRefused):
        tokens.principal(issuer.token(1, **claims))
