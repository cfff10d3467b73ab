"""Every document of the contract under its file's name; docs/schema holds them as committed."""

from pathlib import Path
from typing import Final

import msgspec

from pipeline.api.application import openapi_document
from pipeline.contract import asyncapi, json_schemas
from pipeline.contract.json_schemas import Schema

ASYNCAPI_FILE: Final = "asyncapi.json"
OPENAPI_FILE: Final = "openapi.json"


def documents() -> dict[str, Schema]:
    """The JSON Schema of each message, the AsyncAPI document of the topics and the OpenAPI document of the server."""
    schemas = {f"{name}.schema.json": schema for name, schema in json_schemas.documents().items()}
    return schemas | {ASYNCAPI_FILE: asyncapi.document(), OPENAPI_FILE: openapi_document()}


def text(document: object) -> str:
    """Indented JSON with a line's end."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def write(folder: Path) -> list[Path]:
    """Write every document into `folder`, which is made if it is not there; returns the files.

    Raises OSError if one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, document in documents().items():
        (folder / name).write_text(text(document), encoding="utf-8")
        written.append(folder / name)
    return written
