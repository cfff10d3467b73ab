"""Every refusal as a problem document (RFC 9457): what was wrong, where, and what to do."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import ResponseSpec
from litestar.status_codes import (
    HTTP_400_BAD_REQUEST,
    HTTP_401_UNAUTHORIZED,
    HTTP_403_FORBIDDEN,
    HTTP_404_NOT_FOUND,
    HTTP_409_CONFLICT,
    HTTP_410_GONE,
    HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    HTTP_422_UNPROCESSABLE_ENTITY,
    HTTP_429_TOO_MANY_REQUESTS,
    HTTP_500_INTERNAL_SERVER_ERROR,
    HTTP_501_NOT_IMPLEMENTED,
    HTTP_503_SERVICE_UNAVAILABLE,
)

from pipeline.api.idempotency import KeyReused, StillAnswering
from pipeline.api.publishing import BodyRefused, EventsRefused
from pipeline.api.realtime.admission import Full, Refused
from pipeline.api.tokens import TokenRefused
from pipeline.errors import HistoryArchived, NotSettled, Overloaded, ReadRefused, SchemaMismatch, Transient

MEDIA_TYPE: Final = "application/problem+json"
_RETRY_AFTER_SECONDS: Final = 1
# Some statuses are kept by caches that are told nothing.
_UNKEPT: Final = {"Cache-Control": "no-store"}

log = structlog.get_logger()


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem document. `type` tells programs which one it is; `detail` tells people."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    instance: str | None = None
    errors: list[dict[str, Any]] | None = None


class Missing(Exception):
    """There is nothing under that address; the message says what there is not."""


class Forbidden(Exception):
    """The token does not give that right; the message says which one it takes."""


class InTheWay(Exception):
    """Something else is at work, or it is switched off; the message says which."""


class NotSetUp(Exception):
    """The server was not given what it takes; the message says which setting or role does."""


class NotDone(Exception):
    """It was begun and could not be finished; the message, which is for operators, says how far and what to do."""


# The most particular first.
_STATUS: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (TokenRefused, HTTP_401_UNAUTHORIZED, "No valid token"),
    (Forbidden, HTTP_403_FORBIDDEN, "Not allowed"),
    (Missing, HTTP_404_NOT_FOUND, "Not found"),
    (NotSettled, HTTP_409_CONFLICT, "Not settled yet"),
    (HistoryArchived, HTTP_410_GONE, "Archived"),
    (ReadRefused, HTTP_400_BAD_REQUEST, "Cannot be answered"),
    (BodyRefused, HTTP_400_BAD_REQUEST, "Not understood"),
    (KeyReused, HTTP_422_UNPROCESSABLE_ENTITY, "Key used before"),
    (StillAnswering, HTTP_409_CONFLICT, "Still answering"),
    (EventsRefused, HTTP_422_UNPROCESSABLE_ENTITY, "Rules broken"),
    (Overloaded, HTTP_503_SERVICE_UNAVAILABLE, "Overloaded"),
    (Full, HTTP_429_TOO_MANY_REQUESTS, "Too many subscriptions"),
    (Refused, HTTP_503_SERVICE_UNAVAILABLE, "Try again"),
    (InTheWay, HTTP_409_CONFLICT, "In the way"),
    (NotSetUp, HTTP_501_NOT_IMPLEMENTED, "Not set up here"),
    (Transient, HTTP_503_SERVICE_UNAVAILABLE, "Try again"),
    (NotDone, HTTP_503_SERVICE_UNAVAILABLE, "Not done"),
    (SchemaMismatch, HTTP_503_SERVICE_UNAVAILABLE, "Try again"),  # it was rolled back under our feet
)


def refused(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """What is answered to an error that a handler raised."""
    for kind, status, title in _STATUS:
        if isinstance(error, kind):
            return _answer(request, Problem(title, status, _told(error), errors=_errors(error)), _headers(status))
    if isinstance(error, HTTPException):
        return _of_http(request, error)
    log.error("a request failed", path=request.url.path, exc_info=error)
    detail = "The server has failed; the log says how."
    return _answer(request, Problem("Server error", HTTP_500_INTERNAL_SERVER_ERROR, detail), {})


def _errors(error: Exception) -> list[dict[str, Any]] | None:
    return [asdict(each) for each in error.refused] if isinstance(error, EventsRefused) else None


def _told(error: Exception) -> str:
    """A server's own trouble is for the log; the caller can only wait."""
    if not isinstance(error, (Transient, SchemaMismatch)) or isinstance(error, Overloaded):
        return str(error)
    log.warning("a request could not be served", error=str(error), kind=type(error).__name__)
    return "A server behind this one does not answer at the moment. Nothing was lost; ask again."


def _headers(status: int) -> dict[str, str]:
    if status == HTTP_401_UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer realm="folio"'}
    again = status in {HTTP_429_TOO_MANY_REQUESTS, HTTP_503_SERVICE_UNAVAILABLE}
    return {"Retry-After": str(_RETRY_AFTER_SECONDS)} if again else {}


def _of_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    if error.status_code == HTTP_413_REQUEST_ENTITY_TOO_LARGE:
        bound = request.route_handler.resolve_request_max_body_size() or 0
        told = f"a body has {bound:,} bytes at most; send less at once"
        return _answer(request, Problem("Too large", error.status_code, told), {})
    details = error.extra if isinstance(error, ValidationException) and isinstance(error.extra, list) else None
    title = type(error).__name__.removesuffix("Exception") or "Refused"
    return _answer(request, Problem(title, error.status_code, error.detail, errors=details), dict(error.headers or {}))


def _answer(request: Request[Any, Any, Any], problem: Problem, headers: dict[str, str]) -> Response[Problem]:
    told = msgspec.structs.replace(problem, instance=request.url.path)
    return Response(told, status_code=problem.status, media_type=MEDIA_TYPE, headers=_UNKEPT | headers)


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """What OpenAPI says of these refusals."""
    statuses = (*statuses, HTTP_429_TOO_MANY_REQUESTS)  # whoever asks too often is told so by every route
    titles = {status: title for _, status, title in reversed(_STATUS)} | {413: "Too large", 429: "Too many requests"}
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=titles[status], media_type=MEDIA_TYPE)
        for status in statuses
    }


# What any read may be answered with.
OF_READS: Final = documented(
    HTTP_400_BAD_REQUEST,
    HTTP_401_UNAUTHORIZED,
    HTTP_403_FORBIDDEN,
    HTTP_404_NOT_FOUND,
    HTTP_503_SERVICE_UNAVAILABLE,
)

HANDLERS: Final[Mapping[int | type[Exception], Callable[[Request[Any, Any, Any], Any], Response[Any]]]] = {
    Exception: refused,
    HTTPException: refused,
}
