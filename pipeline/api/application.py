"""The HTTP application: routes, who may use them, and how refusals look. What it reads by is handed to it."""

from dataclasses import dataclass, fields
from importlib.metadata import version
from typing import Any, Final

import msgspec
from litestar import Litestar, get
from litestar.config.compression import CompressionConfig
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from pipeline.api.applying import Applying
from pipeline.api.conditional import conditional
from pipeline.api.console import console
from pipeline.api.event_body import WithEvents, with_events
from pipeline.api.idempotency import Idempotency
from pipeline.api.metrics import ApiMetrics
from pipeline.api.monitoring import Monitoring
from pipeline.api.oversight import Oversight
from pipeline.api.overview.looking import Overview
from pipeline.api.overview.route import system_status
from pipeline.api.problems import HANDLERS
from pipeline.api.publishing import Publishing
from pipeline.api.reading import UNCOMPRESSED, Books, OrganisationReads, PropertyReads
from pipeline.api.realtime.admission import Gateway
from pipeline.api.realtime.routes import RealtimeRoutes
from pipeline.api.realtime.socket import follow
from pipeline.api.surrogate import Surrogates
from pipeline.api.system import Overseen, SystemReads, ready
from pipeline.api.tickets import Tickets, issue_ticket
from pipeline.api.tokens import Tokens
from pipeline.api.writing import publish_events
from pipeline.settings_serving import ApiSettings

# Below this, compressing costs more than it saves on the wire.
_COMPRESSED_BYTES_MIN: Final = 1_024
# Nobody else is answered meanwhile: a snapshot of 10,000 days takes 47 ms, a page of 1,000 rows 3. The library's 9 took
# 350 and 27, for an eighth less on the wire.
_COMPRESSION_LEVEL: Final = 4
# Each answer is for one token; who has it asks whether it is still true. All other headers: pipeline.api.hardening.
_HEADERS: Final = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}


@get("/livez", include_in_schema=False, sync_to_thread=False)
def alive() -> dict[str, bool]:
    """The process answers."""
    return {"alive": True}


_TYPES: Final = (
    *(Books, Publishing, Applying, Idempotency, Overseen),
    *(Gateway, Oversight, Tickets, ApiMetrics, Overview),
)
_ROUTES: Final = (
    PropertyReads,
    OrganisationReads,
    publish_events,
    RealtimeRoutes,
    follow,
    issue_ticket,
    SystemReads,
    system_status,
    Monitoring,
    console,
    alive,
    ready,
)


def openapi_document() -> dict[str, Any]:
    """What the application says of itself (OpenAPI 3.1), without anything to read by."""
    described = Litestar(
        _ROUTES,
        openapi_config=_described(),
        signature_types=_TYPES,
        dependencies={each.name: _given(None) for each in fields(Served)},
    )
    # The same text every time: the library takes paths and schemas as its sets give them.
    document: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode(with_events(described.openapi_schema.to_schema()), order="sorted")
    )
    return document


@dataclass(frozen=True, slots=True)
class Served:
    """What the routes work with, each under the name by which they ask for it."""

    books: Books
    publishing: Publishing
    applying: Applying
    idempotency: Idempotency
    overseen: Overseen
    gateway: Gateway
    oversight: Oversight
    tickets: Tickets
    metrics: ApiMetrics
    overview: Overview

    def provided(self) -> dict[str, Provide]:
        return {each.name: _given(getattr(self, each.name)) for each in fields(self)}


def _given(part: object) -> Provide:
    return Provide(lambda: part, sync_to_thread=False)


def application(
    settings: ApiSettings, served: Served, tokens: Tokens, surrogates: Surrogates | None = None
) -> Litestar:
    """All routes, for whoever holds a token of these; with `surrogates` a CDN may keep some of the answers."""
    return Litestar(
        route_handlers=_ROUTES,
        dependencies=served.provided(),
        exception_handlers=dict(HANDLERS),
        middleware=[conditional] if surrogates is None else [conditional, surrogates.around],
        compression_config=CompressionConfig(
            backend="gzip",
            minimum_size=_COMPRESSED_BYTES_MIN,
            gzip_compress_level=_COMPRESSION_LEVEL,
            exclude_opt_key=UNCOMPRESSED,
        ),
        cors_config=_cors(settings),
        request_max_body_size=settings.body_bytes_max,
        response_headers=_HEADERS,
        openapi_config=_described(),
        state=State({"tokens": tokens, "cors_origins": settings.cors_origins}),
        signature_types=_TYPES,
        logging_config=None,  # the process has one: pipeline.logs
        debug=False,
    )


def _cors(settings: ApiSettings) -> CORSConfig | None:
    """None without origins: browsers then ask from this one alone."""
    if not settings.cors_origins:
        return None
    return CORSConfig(
        allow_origins=settings.cors_origins.split(","),
        allow_methods=["GET", "POST"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "Folio-Read",
            "Idempotency-Key",
            "If-None-Match",
            "Last-Event-ID",
        ],
        expose_headers=["ETag", "Retry-After"],
    )


def _described() -> OpenAPIConfig:
    bearer = SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")
    return OpenAPIConfig(
        title="Folio Stream",
        version=version("foliostream"),
        description="Exact daily balances of hotels: read, written and followed over HTTP.",
        path="/openapi",
        render_plugins=[WithEvents()],
        components=Components(security_schemes={"token": bearer}),
        security=[{"token": []}],
    )
