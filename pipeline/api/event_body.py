"""The body of `POST /v1/events` in the API's description.

The library knows nothing of it: it is judged by the stream's own codec, from its bytes.
"""

from typing import Any, Final

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

from pipeline.api.publishing import EVENTS_MAX
from pipeline.contract.json_schemas import components

Document = dict[str, Any]

_PLACE: Final = "#/components/schemas/"
_STRUCTS: Final = ("FinanceEvent", "RecordedBy", "TransactionData")


def with_events(document: Document) -> Document:
    """The document, and in it what a finance event is, as the contract says."""
    contract = components(_PLACE + "{name}")
    document["components"]["schemas"] |= {name: contract[name] for name in _STRUCTS}
    event = {"$ref": _PLACE + "FinanceEvent"}
    several = {"type": "array", "items": event, "minItems": 1, "maxItems": EVENTS_MAX}
    body = {"required": True, "content": {"application/json": {"schema": {"anyOf": [event, several]}}}}
    document["paths"]["/v1/events"]["post"]["requestBody"] = body
    return document


class WithEvents(JsonRenderPlugin):
    """Serves it so."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: Document) -> bytes:
        return self.render_json(request, with_events(openapi_schema))
