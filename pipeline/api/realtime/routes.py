"""The realtime routes over HTTP: a stream, the changes since a cursor, and how the gateway does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter
from litestar.status_codes import HTTP_200_OK
from litestar.types import ASGIApp

from pipeline.api.access import bearer_of, operators_only, principal_of, require_organisation
from pipeline.api.problems import documented
from pipeline.api.reading import UNCOMPRESSED
from pipeline.api.realtime.admission import Gateway
from pipeline.api.realtime.credentials import by_token, require_credential
from pipeline.api.realtime.figures import RealtimeFigures, figures_of
from pipeline.api.realtime.stream import EventStream
from pipeline.api.realtime.wire import update_members
from pipeline.api.tickets import TICKET_CHARS, Tickets
from pipeline.errors import ReadRefused
from pipeline.realtime.cursor import CURSOR_CHARACTERS_MAX
from pipeline.realtime.messages import ResyncReason
from pipeline.realtime.telling import Synced, TooLarge
from pipeline.storage.values import Balance
from schemas.updates import BalanceUpdate

_REFUSALS: Final = documented(400, 401, 403, 429, 503)
_IDS_CHARACTERS_MAX: Final = 20_000
_ID_MAX: Final = 2**63 - 1

Org = Annotated[int, QueryParameter(ge=1, le=_ID_MAX, description="The organisation.")]
Properties = Annotated[
    str | None,
    QueryParameter(
        max_length=_IDS_CHARACTERS_MAX,
        pattern=r"^[0-9]{1,19}(,[0-9]{1,19})*$",
        description="Ids separated by commas: these properties alone; a thousand at most.",
    ),
]
First = Annotated[date | None, QueryParameter(description="No day before it.")]
Last = Annotated[date | None, QueryParameter(description="No day after it.")]
Place = Annotated[
    str | None,
    QueryParameter(max_length=CURSOR_CHARACTERS_MAX, description="The last cursor that was told: go on behind it."),
]
TicketParameter = Annotated[
    str | None,
    QueryParameter(
        min_length=TICKET_CHARS,
        max_length=TICKET_CHARS,
        description="In the place of a token, for EventSource: from POST /v2/realtime/tickets, good once.",
    ),
]
LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        max_length=CURSOR_CHARACTERS_MAX,
        required=False,
        description="As `cursor`, which it goes before: browsers send it when they come back.",
    ),
]


@dataclass(frozen=True, slots=True)
class ToldUpdate:
    """The newest state of a day. `previous_version`: the one of this day that was told before; null: none."""

    previous_version: int | None
    balance: BalanceUpdate


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed since the cursor, oldest change first.

    With `balances` it is a snapshot: they replace what was held. `resync` says why, where a cursor could not be gone
    on from. `cursor` is the `since` of the next time.
    """

    resync: ResyncReason | None
    epoch: str | None
    balances: list[Balance] | None
    updates: list[ToldUpdate]
    cursor: str


class RealtimeRoutes(Controller):
    """For whoever may read the organisation."""

    path = "/v2/realtime"
    tags = ("Realtime",)

    @get(
        "/stream",
        opt={UNCOMPRESSED: True},
        responses={
            HTTP_200_OK: ResponseSpec(
                str,
                generate_examples=False,
                description="Events, until either side ends",
                media_type="text/event-stream",
            ),
            **_REFUSALS,
        },
        summary="Follow an organisation's balances (server-sent events)",
    )
    async def stream(
        self,
        request: Request[Any, Any, Any],
        gateway: NamedDependency[Gateway],
        tickets: NamedDependency[Tickets],
        org_id: Org,
        properties: Properties = None,
        first: First = None,
        last: Last = None,
        cursor: Place = None,
        ticket: TicketParameter = None,  # noqa: ARG002  # read where every connection's is
        last_event_id: LastEventId = None,
    ) -> ASGIApp:
        """`subscribed`, `snapshot`, then `update` for `update`; see docs/realtime.md for every event."""
        credential = await require_credential(request, tickets)
        require_organisation(credential(), org_id)
        wanted = gateway.wanted(org_id, ids_of(properties), first, last, last_event_id or cursor)
        return EventStream(gateway.following(credential, wanted), gateway.settings.slow_seconds_max)

    @get(
        "/sync",
        responses={HTTP_200_OK: ResponseSpec(Changes, generate_examples=False, description="Changes"), **_REFUSALS},
        summary="What has changed since a cursor",
    )
    async def sync(
        self,
        request: Request[Any, Any, Any],
        gateway: NamedDependency[Gateway],
        org_id: Org,
        properties: Properties = None,
        first: First = None,
        last: Last = None,
        since: Place = None,
    ) -> Response[bytes]:
        """For who was away, or asks now and then. Without `since`: a snapshot."""
        require_organisation(principal_of(request), org_id)
        credential = by_token(request.app.state.tokens, bearer_of(request))
        wanted = gateway.wanted(org_id, ids_of(properties), first, last, since)
        with gateway.looking(credential, wanted) as telling:
            try:
                synced = await telling.at_once()
            except TooLarge:
                most = gateway.settings.snapshot_days_max
                raise ReadRefused(f"more than {most:,} days are asked for: give `first`, or `properties`") from None
        return Response(_changes(synced), media_type="application/json")

    @get(
        "/metrics",
        guards=[operators_only],
        responses=documented(401, 403),
        summary="How the gateway of this process does",
    )
    async def metrics(self, gateway: NamedDependency[Gateway]) -> RealtimeFigures:
        """Since it began; delivery from the change of a balance to its being handed to a subscriber."""
        return figures_of(gateway.hub, gateway.metrics)


def ids_of(text: str | None) -> frozenset[int]:
    """Raises ReadRefused."""
    try:
        ids = frozenset(int(each) for each in text.split(",")) if text else frozenset[int]()
    except ValueError as error:
        raise ReadRefused("`properties` is a list of ids separated by commas") from error
    if not all(0 < each <= _ID_MAX for each in ids):
        raise ReadRefused("`properties`: an id is 1 to 2^63 - 1")
    return ids


def _changes(synced: Synced) -> bytes:
    """By hand: each update goes out as the topic has it."""
    encode = msgspec.json.encode
    balances: Sequence[Balance] | None = synced.snapshot.balances if synced.snapshot is not None else None
    epoch = synced.snapshot.epoch if synced.snapshot is not None else None
    updates = b",".join(b"{" + update_members(each) + b"}" for each in synced.updates)
    return (
        b'{"resync":' + encode(synced.resync) + b',"epoch":' + encode(epoch) + b',"balances":' + encode(balances)
        + b',"updates":[' + updates + b'],"cursor":' + encode(synced.cursor) + b"}"
    )  # fmt: skip
