"""The write of producers without a Kafka client: events in, acknowledged places out."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import HeaderParameter
from litestar.status_codes import HTTP_202_ACCEPTED

from pipeline.api.access import principal_of, writers_only
from pipeline.api.idempotency import KEY_CHARS_MAX, Idempotency, Once
from pipeline.api.problems import Forbidden, documented
from pipeline.api.publishing import Placed, Publishing
from pipeline.api.tokens import Principal
from schemas.records import Accepted

_REFUSALS: Final = documented(400, 401, 403, 409, 413, 422, 503)


Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=KEY_CHARS_MAX,
        required=False,
        description="The caller's own name for this request. Repeated with it, it gets the first answer, for a day.",
    ),
]


@dataclass(frozen=True, slots=True)
class Published:
    """Every event, in the order in which it was sent, and where it stands in the topic."""

    events: list[Placed]


@post(
    "/v1/events",
    guards=[writers_only],
    status_code=HTTP_202_ACCEPTED,
    responses={HTTP_202_ACCEPTED: ResponseSpec(Published, description="Acknowledged"), **_REFUSALS},
    tags=["Events"],
    summary="Publish one finance event, or up to a thousand",
)
async def publish_events(
    request: Request[Any, Any, Any],
    publishing: NamedDependency[Publishing],
    idempotency: NamedDependency[Idempotency],
    key: Key = None,
) -> Response[bytes]:
    """Answers when every replica of the broker has all of them; the stream books them after that.

    The body is an event or a list of events, as in the topic `finance-events`. Where one of them breaks a rule none is
    sent, and `errors` says which and why. Sending the same events again is harmless: their versions tell.
    """
    principal, body = principal_of(request), await request.body()

    async def publish() -> bytes:
        events = publishing.judged(body)
        _require_own(principal, events)
        return msgspec.json.encode(Published(await publishing.publish(events)))

    if key is None:
        return _answer(Once(await publish(), replayed=False))
    return _answer(await idempotency.once(principal.subject, key, body, publish))


def _answer(once: Once) -> Response[bytes]:
    headers = {"Idempotent-Replayed": "true"} if once.replayed else {}
    return Response(once.body, status_code=HTTP_202_ACCEPTED, media_type="application/json", headers=headers)


def _require_own(principal: Principal, events: list[Accepted]) -> None:
    """Raises Forbidden for an event of an organisation that the token does not name."""
    foreign = sorted({event.event.org_id for event in events if not principal.may_see(event.event.org_id)})
    if foreign:
        raise Forbidden(f"the token does not name organisation {foreign[0]} in `orgs`; no event was sent")
