"""The write of producers without a Kafka client: events in, acknowledged places out."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
import structlog
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED
from litestar.types import Receive

from pipeline.api.access import principal_of, writers_only
from pipeline.api.applying import Applying
from pipeline.api.idempotency import KEY_CHARS_MAX, Answer, Idempotency, Once
from pipeline.api.intents import mark_of
from pipeline.api.problems import Forbidden, documented
from pipeline.api.publishing import Placed, Publishing
from pipeline.api.reading import balance_on
from pipeline.api.tokens import Principal, Role
from pipeline.errors import DatabaseUnavailable
from pipeline.storage.outcomes import Decided, Outcome
from pipeline.storage.values import Balance
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
Wait = Annotated[
    Literal["applied"] | None,
    QueryParameter(description="`applied`: answer when the stream has decided, with what became of each event."),
]
# When to ask for the balance, or to send the same again: the stream is behind, or nobody runs it.
_RETRY_AFTER_SECONDS: Final = 5

log = structlog.get_logger()


class Published(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every event, in the order in which it was sent, and where it stands in the topic.

    `detail`: only of who waited for the stream, and in vain.
    """

    events: list[Placed]
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Booked:
    """What became of an event.

    `reason` and `detail` say why it was set aside. `balance`: the day that its transaction is booked on, as it stood
    when this was asked; null for what was set aside unread, and for whoever may not read.
    """

    event_id: UUID
    partition: int
    offset: int
    outcome: Outcome
    reason: str | None
    detail: str | None
    balance: Balance | None


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of every event, in the order in which it was sent. `Folio-Read: after=<mark>` sees it everywhere."""

    mark: str
    events: list[Booked]


@post(
    "/v1/events",
    guards=[writers_only],
    status_code=HTTP_202_ACCEPTED,
    responses={
        HTTP_200_OK: ResponseSpec(Applied, generate_examples=False, description="Decided by the stream"),
        HTTP_202_ACCEPTED: ResponseSpec(Published, generate_examples=False, description="Acknowledged by the broker"),
        **_REFUSALS,
    },
    tags=["Events"],
    summary="Publish one finance event, or up to a thousand",
)
async def publish_events(
    request: Request[Any, Any, Any],
    publishing: NamedDependency[Publishing],
    applying: NamedDependency[Applying],
    idempotency: NamedDependency[Idempotency],
    key: Key = None,
    wait: Wait = None,
) -> Response[bytes]:
    """Answers when every replica of the broker has all of them; the stream books them after that.

    A broker that is away is waited for, half a minute by default; then the answer is 503.

    The body is an event or a list of events, as in the topic `finance-events`. Where one of them breaks a rule none is
    sent, and `errors` says which and why. Sending the same events again is harmless: their versions tell.

    With `wait=applied` the answer comes when the stream has decided on all of them: 200, with what became of each and
    the balance of its day. Where that takes too long it is 202, as without.
    """
    principal, body = principal_of(request), await request.body()
    # Before any key is looked at: whoever may not publish them is not told what became of them either.
    events = publishing.judged(body)
    _require_own(principal, events)

    left = partial(gone, request.receive)

    async def publish() -> Answer:
        if wait is None:
            published = Published(await publishing.publish(events, left))
            return Answer(HTTP_202_ACCEPTED, msgspec.json.encode(published))
        with applying.place():
            placed = await publishing.publish(events, left)
            return await _applied(applying, events, placed, left(), principal)

    if key is None:
        return _answer(Once(await publish(), replayed=False), wait)
    asked = body if wait is None else wait.encode() + b"\n" + body  # another question has another answer
    return _answer(await idempotency.once(principal, key, asked, publish), wait)


async def _applied(
    applying: Applying,
    events: Sequence[Accepted],
    placed: list[Placed],
    left: Awaitable[None],
    principal: Principal,
) -> Answer:
    """What became of them; or, where nobody knows yet, that they are accepted. Nothing undoes that."""
    if not await applying.decided(events, placed, left):
        detail = (
            f"Accepted, and not yet applied: the stream has not come so far within {applying.wait_seconds:g} s. "
            "It will; sending them again is harmless."
        )
        return Answer(HTTP_202_ACCEPTED, msgspec.json.encode(Published(placed, detail)))
    try:
        decided, mark = await applying.outcomes(events, placed)
    except DatabaseUnavailable as error:
        log.warning("what became of events could not be read", error=str(error), events=len(events))
        detail = "Accepted, and decided by the stream; what became of them cannot be read at the moment."
        return Answer(HTTP_202_ACCEPTED, msgspec.json.encode(Published(placed, detail)))
    shown = principal.has(Role.READER)
    booked = [_booked(at, each, shown=shown) for at, each in zip(placed, decided, strict=True)]
    return Answer(HTTP_200_OK, msgspec.json.encode(Applied(mark_of(mark), booked)))


def _booked(at: Placed, decided: Decided, *, shown: bool) -> Booked:
    latest, day = decided.latest, decided.booked_on
    balance = None
    if shown and latest is not None and day is not None:
        balance = balance_on(latest, day)
    return Booked(at.event_id, at.partition, at.offset, decided.outcome, decided.reason, decided.detail, balance)


async def gone(receive: Receive) -> None:
    """Return when the client has hung up; its body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _answer(once: Once, wait: str | None) -> Response[bytes]:
    headers = {"Idempotent-Replayed": "true"} if once.replayed else {}
    if wait is not None and once.answer.status == HTTP_202_ACCEPTED:
        headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    return Response(once.answer.body, status_code=once.answer.status, media_type="application/json", headers=headers)


def _require_own(principal: Principal, events: list[Accepted]) -> None:
    """Raises Forbidden for an event of an organisation that the token does not name."""
    foreign = sorted({event.event.org_id for event in events if not principal.may_see(event.event.org_id)})
    if foreign:
        raise Forbidden(f"the token does not name organisation {foreign[0]} in `orgs`; no event was sent")
