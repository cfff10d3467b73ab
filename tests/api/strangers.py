"""Who asks for what is not theirs, and every way to ask for it: made from the API's own description.

Each organisation's books hold its own number wherever they hold anything: `MARKS` in what only an answer can tell,
`IDS` in what a request may name itself.
"""

import json
import re
import string
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any, Final
from urllib.parse import quote, urlencode

from tests.support.events import event

ORGS: Final = (1, 2, 3)
# More digits than a fraction of a second has; as an amount, with room below for sums that still begin with it.
MARKS: Final = {1: "91100331", 2: "92200332", 3: "93300333"}
IDS: Final = {1: "81100331", 2: "82200332", 3: "83300333"}
_MARKED: Final = re.compile(rb"[89]([123])(?:\1)0033(?:\1)")
DAYS: Final = 3
TRANSACTIONS: Final = 6  # of an organisation: so many of each kind
KINDS: Final = ("revenue", "expense")


def orgs_in(text: bytes) -> dict[bytes, int]:
    """Each mark that is there, and whose it is."""
    return {found[0]: int(found[1]) for found in _MARKED.finditer(text)}


def property_of(org: int, number: int = 1) -> int:
    return int(f"{IDS[org]}{number:02}")


def transaction_of(org: int, number: int) -> int:
    return int(f"{IDS[org]}{number + 10:02}")


def books_of(org: int, today: date, at: Callable[[date], Any]) -> list[dict[str, Any]]:
    """Events of two properties over three days; every amount, name, reference and description is marked."""
    mark = MARKS[org]
    made = []
    for number in range(TRANSACTIONS):
        day = today - timedelta(days=DAYS - 1 - number // 2)
        for kind in KINDS:
            # What comes in is always more than what goes out, so that each closing begins with the mark.
            amount = int(mark) * 1_000 + number if kind == "revenue" and number < 2 else 1 + number
            one = event(
                transaction_of(org, number),
                kind=kind,
                org=org,
                property_=property_of(org, number % 2 + 1),
                amount=amount,
                mode="cash" if number < 4 else "bank",
                at=at(day),
                description=f"{kind} {mark}",
                bank_reference=f"NEFT{mark}",
            )
            one["recorded_by"] = {"user_id": int(IDS[org]), "name": f"Owner {mark}"}
            made.append(one)
    return made


@dataclass(frozen=True, slots=True)
class Asker:
    """Whoever asks: the head of each request, the organisations that it may see, and whether anybody believes it."""

    name: str
    head: str
    sees: frozenset[int] = frozenset()
    writes: frozenset[int] = frozenset()
    believed: bool = True
    operator: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request, what may be answered to it, and whose marks may be in that."""

    asker: Asker
    request: bytes
    statuses: frozenset[int]
    named: frozenset[bytes]  # marks that the request holds itself
    wants: int | None = None  # the organisation, where it is asked for plainly
    route: tuple[str, str] = ("", "")

    def leaked(self, heard: bytes) -> list[bytes]:
        """Marks of organisations that the asker's token does not name, and that it did not say itself."""
        if self.asker.operator:
            return []
        return [mark for mark, org in orgs_in(heard).items() if org not in self.asker.sees and mark not in self.named]


# Of numbers: what some reader of texts takes for the number, and another one does not.
ODD: Final[Sequence[Callable[[int], str]]] = (
    lambda n: f"+{n}", lambda n: f"%2B{n}", lambda n: f"0{n}", lambda n: f"{n}.0", lambda n: f"%3{n}",
    lambda n: f"%20{n}", lambda n: f"{n}%20", lambda n: f"{n}%0A", lambda n: f"{n}%00", lambda n: quote(chr(0x660 + n)),
    lambda n: quote(chr(0xFF10 + n)), lambda n: quote(chr(0x966 + n)), lambda n: f"{n}e0", lambda n: f"0x{n}",
    lambda n: f"-{n}", lambda n: f"0_{n}", lambda n: f"{n}%2F", lambda n: f"%2E%2E%2F{n}", lambda n: f"../{n}",
    lambda n: f"1/../{n}", lambda n: f"1%2F..%2F{n}", lambda n: f"{n};1", lambda n: f"1,{n}", lambda n: f"{n}%2C1",
    lambda n: str(n + 2**63), lambda n: str(n + 2**64), lambda n: str(n) * 400, lambda n: f"%C0%B{n}",
    lambda n: f"/{n}", lambda n: f"{n}%3Forg_id=1", lambda n: f"[{n}]", lambda _: "*", lambda _: "1%20OR%201=1",
)  # fmt: skip
# Lines that some proxy or framework believes.
_BELIEVED_ELSEWHERE: Final = (
    "X-Org-Id: {org}", "X-Original-URL: /v1/orgs/{org}/overview?day=2026-01-01", "X-Forwarded-User: operator",
    "X-Rewrite-URL: /v1/orgs/{org}/overview", "X-HTTP-Method-Override: POST", "X-Forwarded-For: 127.0.0.1",
    "Cookie: token=operator; org_id={org}", "Folio-Read: primary", "Forwarded: for=127.0.0.1;host=orgs{org}",
)  # fmt: skip

_OF_A_PATH: Final = frozenset({"org_id", "property_id", "day", "month", "kind", "transaction_id"})
Route = tuple[str, str]  # method and path
# Of all that is asked: by tokens that say too little. The rest comes with none, or with one that says too much.
_BELIEVED: Final = 0.7
OK: Final = frozenset({200, 201, 202})
# Whatever a request may be taken for; a server that has failed (500) is never an answer.
ANY_REFUSAL: Final = frozenset({400, 401, 403, 404, 405, 409, 410, 413, 422})


class Unknown(Exception):
    """The description has something that nobody here knows a value for: say one in this file."""


@dataclass
class Strangers:
    """Makes attempts at the routes of a description."""

    document: Mapping[str, Any]
    askers: Sequence[Asker]
    today: date
    cursors: Mapping[int, str]  # of `/v2/realtime/sync`, one of each organisation
    marks: Mapping[int, str]  # of what was written, as `Folio-Read: after=` takes them
    tags: Mapping[str, str]  # by path: the entity tag of what an operator was answered
    tickets: Sequence[str]  # of whoever may see none: a stream that is let in would never end
    settled: str  # an instant at which the books were as they are
    random: Random = field(default_factory=lambda: Random(7))

    def __post_init__(self) -> None:
        self.routes: list[Route] = [
            (method.upper(), path) for path, item in self.document["paths"].items() for method in item
        ]
        self._names_one = [route for route in self.routes if self._org_of(route) is not None]
        self._believed = [each for each in self.askers if each.believed]
        self._others = [each for each in self.askers if not each.believed]
        for route in self.routes:
            self._query(route, 1, 1)  # raises Unknown
            if "requestBody" in self._described(route) and route not in _BODIES:
                raise Unknown(f"a body for {route}")

    def made(self, count: int) -> list[Attempt]:
        """Three quarters of them at what belongs to an organisation; each route and asker often."""
        return [self._one(self.random.choice(self._names_one if n % 4 else self.routes)) for n in range(count)]

    def controls(self, operator: Asker) -> list[Attempt]:
        """Each reading route that names an organisation, of each of them, plainly, by who may see all."""
        routes = [(m, path) for m, path in self._names_one if m == "GET" and not path.endswith("/stream")]
        return [
            self._asked(route, operator, org, OK | {400, 404}) for route in routes for org in ORGS for _ in range(8)
        ]

    def _one(self, route: Route) -> Attempt:
        random = self.random
        asker = random.choice(self._believed if random.random() < _BELIEVED else self._others)
        named = self._org_of(route)
        if named is None:
            return self._asked(route, asker, 1, self._of_operators(route, asker))
        org = random.choice([each for each in ORGS if each not in asker.sees] or [2])
        if route in _BODIES:
            return self._publication(route, asker, random.choice([each for each in ORGS if each not in asker.writes]))
        if named == "query" and random.random() < 0.2:
            return self._doubled(route, asker, org)
        if random.random() < 0.2:
            return self._odd(route, asker, org)
        if asker.sees and not route[1].endswith("/stream") and random.random() < 0.25:
            # Their own, by what is another's: ids, cursors, pages.
            own = random.choice(sorted(asker.sees))
            return self._asked(route, asker, own, OK | {304, 400, 404, 409, 410}, of=org)
        return self._asked(route, asker, org, frozenset({403 if asker.believed else 401}))

    def _of_operators(self, route: Route, asker: Asker) -> frozenset[int]:
        if not asker.believed:
            return frozenset({401})
        return OK if route[1] == "/v2/realtime/tickets" else frozenset({403})

    def _asked(
        self, route: Route, asker: Asker, org: int, statuses: frozenset[int], *, of: int | None = None
    ) -> Attempt:
        path = self._path(route, str(org), of or org)
        query = self._query(route, org, of or org)
        target = f"{path}?{urlencode(query)}" if query else path
        if "ticket" in query and not asker.believed:
            statuses |= {403}  # the ticket is: of somebody who may see nothing
        return self._attempt(route, asker, target, statuses, of or org, wants=org)

    def _odd(self, route: Route, asker: Asker, org: int) -> Attempt:
        text = self.random.choice(ODD)(org)
        query = urlencode({name: value for name, value in self._query(route, org, org).items() if name != "org_id"})
        if self._org_of(route) == "query":
            target = f"{route[1]}?org_id={text}&{query}"
        else:
            target = f"{self._path(route, text, org)}?{query}"
        # Where it is none of the numbers it may be an own one's: `1/../2` is a place that there is not.
        allowed = ANY_REFUSAL if route[1].endswith("/stream") else ANY_REFUSAL | OK
        return self._attempt(route, asker, target, allowed, org)

    def _doubled(self, route: Route, asker: Asker, org: int) -> Attempt:
        """Two organisations in one address: whichever is read, the same one is judged."""
        own = next(iter(asker.sees), 1)
        both = [("org_id", own), ("org_id", org)]
        self.random.shuffle(both)
        if route[1].endswith("/stream"):
            both = [("org_id", org)] * 2  # an own one would never end
        query = [*both, *((k, v) for k, v in self._query(route, own, org).items() if k != "org_id")]
        return self._attempt(route, asker, f"{route[1]}?{urlencode(query)}", ANY_REFUSAL | OK, org)

    def _publication(self, route: Route, asker: Asker, org: int) -> Attempt:
        own = next(iter(asker.writes), 1)
        body, key = self.random.choice(_BODIES[route])(self, own, org), self.random.choice(["shared", None, None])
        head = f"Idempotency-Key: {key}\r\n" if key else ""
        target = route[1] + self.random.choice(["", "", "?wait=applied"])
        statuses = frozenset({401}) if not asker.believed else frozenset({403, 422} if asker.writes else {403})
        return self._attempt(route, asker, target, statuses, org, body=body.encode(), head=head)

    def _attempt(
        self,
        route: Route,
        asker: Asker,
        target: str,
        statuses: frozenset[int],
        org: int,
        *,
        body: bytes = b"",
        head: str = "",
        wants: int | None = None,
    ) -> Attempt:
        random = self.random
        if not asker.operator and random.random() < 0.3:
            head += random.choice(_BELIEVED_ELSEWHERE).format(org=org) + "\r\n"
        if target in self.tags and random.random() < 0.5:
            head += f"If-None-Match: {self.tags[target]}\r\n"
        if not asker.operator and "Folio-Read" not in head and random.random() < 0.1:
            head += f"Folio-Read: after={self.marks[org]}\r\n"
        if not asker.operator and route[1].endswith("/stream"):
            head += random.choice(["", f"Last-Event-ID: {self.cursors[org]}\r\n"])
        if body or route[0] == "POST":
            head += f"Content-Length: {len(body)}\r\n"
        request = f"{route[0]} {target} HTTP/1.1\r\nHost: folio\r\n{asker.head}{head}\r\n".encode() + body
        return Attempt(asker, request, statuses, frozenset(orgs_in(request)), wants, route)

    def _described(self, route: Route) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.document["paths"][route[1]][route[0].lower()]
        return found

    def _org_of(self, route: Route) -> str | None:
        """Where an organisation is named."""
        if route in _BODIES:
            return "body"
        places = [each["in"] for each in self._described(route).get("parameters", ()) if each["name"] == "org_id"]
        return places[0] if places else None

    def _path(self, route: Route, org: str, of: int) -> str:
        names = {name for _, name, *_ in string.Formatter().parse(route[1]) if name}
        if names - _OF_A_PATH:
            raise Unknown(f"{names - _OF_A_PATH} of {route}")
        random = self.random
        return route[1].format(
            org_id=org,
            property_id=property_of(of, random.randint(1, 2)),
            day=self._day(),
            month=self._day(),
            kind=random.choice(KINDS),
            transaction_id=transaction_of(of, random.randrange(TRANSACTIONS)),
        )

    def _day(self) -> date:
        return self.today - timedelta(days=self.random.randrange(DAYS))

    def _query(self, route: Route, org: int, of: int) -> dict[str, str]:
        """Values of the query's parameters: what is required always, the rest now and then."""
        query = {}
        for each in self._described(route).get("parameters", ()):
            if each["in"] != "query":
                continue
            if each["name"] not in _VALUES:
                raise Unknown(f"the parameter {each['name']} of {route}")
            required = each.get("required") or each["name"] == "org_id"
            if required or self.random.random() < 0.3:
                query[each["name"]] = _VALUES[each["name"]](self, org, of)
        return query


def _page(self: Strangers, _org: int, of: int) -> str:
    """The end of a page of another one's: each kind of key that there is."""
    keys: list[Any] = [
        property_of(of) - 1,
        transaction_of(of, 0) - 1,
        0,
        str(self._day()),
        [f"{self._day()}T00:00:00Z", transaction_of(of, 0)],
        {"org_id": of, "property_id": property_of(of)},
    ]
    return urlsafe_b64encode(json.dumps(self.random.choice(keys)).encode()).decode().rstrip("=")


_VALUES: Final[Mapping[str, Callable[[Strangers, int, int], str]]] = {
    "org_id": lambda _, org, __: str(org),
    "day": lambda self, *_: str(self.today),
    "first": lambda self, *_: str(self.today - timedelta(days=DAYS)),
    "last": lambda self, *_: str(self.today),
    "recorded_at": lambda self, *_: self.settled,
    "limit": lambda self, *_: str(self.random.choice([1, 2, 100])),
    "after": _page,
    "properties": lambda _, __, of: f"{property_of(of, 1)},{property_of(of, 2)}",
    "cursor": lambda self, _, of: self.cursors[of],
    "since": lambda self, _, of: self.cursors[of],
    "ticket": lambda self, *_: self.random.choice(self.tickets),
    "wait": lambda *_: "applied",
    "plan": lambda *_: "true",
    "only": lambda *_: "create",
}


def _foreign(self: Strangers, _own: int, org: int, **changed: Any) -> dict[str, Any]:
    number = 900 + self.random.randrange(90)
    return event(int(f"{IDS[org]}{number}"), org=org, property_=property_of(org), amount=5) | {
        "occurred_at": f"{self.today}T06:00:00+00:00",
        **changed,
    }


def _text(self: Strangers, own: int, org: int) -> str:
    return json.dumps(_foreign(self, own, org))


def _with_own(self: Strangers, own: int, org: int) -> str:
    both = [_foreign(self, own, own), _foreign(self, own, org)]
    self.random.shuffle(both)
    return json.dumps(both)


def _twice_said(self: Strangers, own: int, org: int) -> str:
    """The last member of a name counts, as for the stream."""
    return _text(self, own, org)[:-1] + f', "org_id": {org}}}'


# By route: bodies that name another organisation, each to be refused by whoever judges what the stream would book.
_BODIES: Final[Mapping[Route, Sequence[Callable[[Strangers, int, int], str]]]] = {
    ("POST", "/v1/events"): (
        _text,
        _with_own,
        _twice_said,
        lambda self, own, org: "[" + _text(self, own, org) + "]",
        lambda self, own, org: " \n" + _text(self, own, org),
        lambda self, own, org: _text(self, own, org).replace("org_id", "\\u006frg_id"),
        lambda self, own, org: _text(self, own, own)[:-1] + f', "org_id": {org}}}',
        lambda self, own, org: json.dumps(_foreign(self, own, own, org_id=str(org))),
        lambda self, own, org: json.dumps(_foreign(self, own, own, org_id=float(org))),
        lambda self, own, org: json.dumps(_foreign(self, own, own, org_id=[own, org])),
        lambda self, own, org: json.dumps(_foreign(self, own, own, org_id=org + 2**64)),
    )
}
