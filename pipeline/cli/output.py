"""How commands answer: in text for people, or in one JSON document for programs."""

from typing import Literal

import msgspec

Output = Literal["text", "json"]


def print_document(document: object) -> None:
    """One JSON document on a line of its own."""
    print(msgspec.json.encode(document).decode())
