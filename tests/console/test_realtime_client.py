"""The browser's client by itself: what it takes, and how long it pauses. Live it is in test_figures.py."""

from tests.console.page import Page
from tests.console.server import Server
from tests.realtime.judged import CASES

MODULE = "const { backoff, judge, step } = await import('/console/realtime.js');"


async def test_it_judges_as_the_python_client_does(server: Server, page: Page) -> None:
    page.open(server.console)
    for held, epoch, version, previous, expected in CASES:
        script = f"{MODULE} return judge(arguments[0], arguments[1], arguments[2])"
        found = page.wait(script, held, {"epoch": epoch, "version": version}, previous)
        assert found == expected, (held, epoch, version, previous)


async def test_its_pauses_double_up_to_a_bound_and_are_never_alike(server: Server, page: Page) -> None:
    page.open(server.console)
    script = f"{MODULE} return [0, 1, 2, 5, 6, 50].map((each) => [0, 1].map((random) => backoff(each, () => random)))"
    assert page.wait(script) == [
        [250, 500],
        [500, 1000],
        [1000, 2000],
        [8000, 16000],
        [15000, 30000],
        [15000, 30000],
    ]


async def test_it_stops_where_it_has_no_right_and_says_so(server: Server, page: Page) -> None:
    page.open(server.console)
    script = """
        const { BalanceStream } = await import('/console/realtime.js');
        const states = [];
        await new Promise((done) => new BalanceStream({
            org: 1, token: async () => 'nonsense', changed: () => {},
            state: (state) => { states.push(state.kind); if (state.kind === 'refused') done(); },
        }).start());
        return states;
    """
    assert page.wait(script) == ["connecting", "connecting", "refused"], "once more with a token that was to be new"
