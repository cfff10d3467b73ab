"""The write of producers without a Kafka client: events in, acknowledged places out."""

from dataclasses import dataclass
from typing import Any, Final

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_202_ACCEPTED

from pipeline.api.access import principal_of
from pipeline.api.problems import Forbidden, documented
from pipeline.api.publishing import Placed, Publishing
from pipeline.api.tokens import Principal, Role
from schemas.records import Accepted

_REFUSALS: Final = documented(400, 401, 403, 413, 422, 503)


@dataclass(frozen=True, slots=True)
class Published:
    """Every event, in the order in which it was sent, and where it stands in the topic."""

    events: list[Placed]


@post(
    "/v1/events",
    status_code=HTTP_202_ACCEPTED,
    responses=_REFUSALS,
    tags=["Events"],
    summary="Publish one finance event, or up to a thousand",
)
async def publish_events(request: Request[Any, Any, Any], publishing: NamedDependency[Publishing]) -> Published:
    """Answers when every replica of the broker has all of them; the stream books them after that.

    The body is an event or a list of events, as in the topic `finance-events`. Where one of them breaks a rule none is
    sent, and `errors` says which and why. Sending the same events again is harmless: their versions tell.
    """
    principal = principal_of(request)
    events = publishing.judged(await request.body())
    _require_own(principal, events)
    return Published(await publishing.publish(events))


def _require_own(principal: Principal, events: list[Accepted]) -> None:
    """Raises Forbidden for an event of an organisation that the token does not name."""
    if not principal.has(Role.WRITER):
        raise Forbidden("publishing takes a token with the role `writer`")
    foreign = sorted({event.event.org_id for event in events if not principal.may_see(event.event.org_id)})
    if foreign:
        raise Forbidden(f"the token does not name organisation {foreign[0]} in `orgs`; no event was sent")
