"""For everybody: by keyboard, with a screen reader, on a phone, in the dark; by what the browser has computed."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.console.looks import CONTRASTS, contrast
from tests.console.page import Page
from tests.console.server import Server
from tests.console.test_figures import revenues, shows
from tests.support.stream import Stream

INTERACTIVE = {"button", "link", "textbox", "spinbutton", "checkbox", "combobox"}
FOCUSED = """
    const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
    const name = at.id || at.getAttribute('aria-label') || at.textContent.trim();
    return [at.tagName, name, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, box.width > 0];
"""


WIDE = """
    const beyond = (each) => !each.closest('.scroll') && each.getBoundingClientRect().right > innerWidth + 1;
    return [document.documentElement.scrollWidth, [...document.querySelectorAll('body *')].filter(beyond)
        .map((each) => each.outerHTML.slice(0, 80))];
"""
SMALL = """
    const sides = (each) => [each.textContent || each.id, each.getBoundingClientRect().height];
    return [...document.querySelectorAll('button, input')].map(sides).filter(([, height]) => height < 44);
"""
ANIMATED = "return getComputedStyle(document.querySelector('tr.ticked td')).animationName !== 'none'"


@pytest.fixture
async def busy(stream: Stream, server: Server, page: Page) -> Page:
    """The console with everything on it: an organisation that is followed, dead letters, lanes."""
    with stream.worker():
        await stream.send([*revenues(1, range(1, 31)), (b"1", b"nothing")])
        await stream.wait_until_consumed(31)
        page.open(server.console, server.operator)
        page.until_figure("verdict", "✓ All agree")
        page.follow(1)
        await shows(stream, page, 1)
    return page


def tree(page: Page) -> list[dict[str, Any]]:
    """What assistive technology is given."""
    page.driver.execute_cdp_cmd("Accessibility.enable", {})
    nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return [node for node in nodes if not node.get("ignored")]


def said(node: dict[str, Any]) -> tuple[str, str]:
    return node["role"]["value"], node.get("name", {}).get("value", "").strip()


async def test_everything_has_a_role_and_a_name(busy: Page) -> None:
    nodes = [said(node) for node in tree(busy)]
    roles = [role for role, _ in nodes]
    assert [(role, name) for role, name in nodes if role in INTERACTIVE and not name] == []
    assert (roles.count("main"), roles.count("banner")) == (1, 1)
    levels = busy.ask("return [...document.querySelectorAll('h1,h2,h3')].map((each) => Number(each.tagName[1]))")
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels)), "no level is left out"
    regions = {name for role, name in nodes if role == "region"}
    assert {"Throughput", "Lag", "Freshness", "Batch size", "Outcomes", "Dead letters", "Partition runway"} <= regions
    charts = [name for role, name in nodes if role in {"img", "image"}]
    assert [name.split(",")[0].split(":")[0] for name in charts] == ["Throughput", "Lag", "Freshness", "Batch size"]
    assert charts[1] == "Lag, last three minutes: now 0 records, least 0 records, most 0 records"
    assert {role for role, _ in nodes} >= {"table", "columnheader", "rowheader"}


async def test_live_regions_do_not_chatter(busy: Page) -> None:
    """They tell of a change of state, and nothing of figures that change each second."""
    busy.ask(
        """
        window.told = [];
        const live = document.querySelectorAll('[role=status], [role=alert], [aria-live]');
        window.lives = live.length;
        for (const each of live) new MutationObserver(() => told.push(each.textContent))
            .observe(each, {subtree: true, childList: true, characterData: true});
        """
    )
    before = busy.figure("connection")
    busy.until(lambda: busy.figure("connection") != before)
    before = busy.figure("connection")
    busy.until(lambda: busy.figure("connection") != before)
    assert busy.ask("return [lives, told]") == [2, []]


async def test_everything_is_reached_by_keyboard_in_the_order_of_the_page(busy: Page) -> None:
    begin(busy)
    walked: list[str] = []
    for _ in range(30):
        tag, name, visible, seen = busy.ask(FOCUSED)
        if tag == "BODY" or name in walked:
            break
        assert visible, f"the focus on {name} is not seen"
        assert seen
        walked.append(name)
        busy.driver.switch_to.active_element.send_keys(Keys.TAB)
    assert walked[0] == "Skip to the figures"
    assert walked[1:5] == ["Forget the token", "org", "Follow", "Balances of organisation 1"]
    assert walked[5:] == [
        "Records by what became of them",
        "Each lane, its lag and its owner",
        "Balances read, by the tier that answered",
        "Servers as reads see them",
        "Days until rows of now find no month of their own",
        "Dead letters by reason",
        "The newest dead letters",
    ]


def begin(page: Page) -> None:
    """As if the page had just been opened: at the first thing that can have the focus, and that is the skip link."""
    first = "[...document.querySelectorAll('a, button, input, [tabindex=\"0\"]')][0]"
    assert page.ask(f"{first}.focus(); return document.activeElement === document.querySelector('a.skip')")


async def test_the_skip_link_leads_to_the_figures(busy: Page) -> None:
    begin(busy)
    busy.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert busy.ask("return document.activeElement.id") == "main"
    assert busy.ask("return sessionStorage.getItem('folio-token')"), "the fragment was no token"


async def test_every_text_stands_out_from_what_is_behind_it(busy: Page, server: Server) -> None:
    for scheme in ("light", "dark"):
        busy.prefers(color_scheme=scheme, reduced_motion="reduce")
        assert list(faint(busy)) == []
        dark = contrast(busy.ask("return getComputedStyle(document.body).backgroundColor"), "rgb(0, 0, 0)") < 2
        assert dark == (scheme == "dark"), "the scheme is followed"
    server.kill()
    busy.until(lambda: "is away since" in (busy.figure("connection") or ""))
    for scheme in ("light", "dark"):
        busy.prefers(color_scheme=scheme, reduced_motion="reduce")
        assert list(faint(busy)) == []


async def test_the_login_can_be_read_and_named(server: Server, page: Page) -> None:
    for scheme in ("light", "dark"):
        page.prefers(color_scheme=scheme)
        page.open("about:blank")
        page.open(server.console, "nonsense")
        page.until(lambda: bool(page.all("[role=alert]")) and page.one("[role=alert]").text != "")
        assert list(faint(page)) == []
        nodes = [said(node) for node in tree(page)]
        assert ("textbox", "Token with the role operator") in nodes
        assert ("button", "Look") in nodes
        assert [role for role, _ in nodes].count("main") == 1


def faint(page: Page) -> Iterator[str]:
    """Texts below the ratio that WCAG 2.2 asks for (1.4.3, level AA)."""
    for text, ink, ground, large in page.ask(CONTRASTS):
        ratio = contrast(ink, ground)
        if ratio < (3.0 if large else 4.5):
            yield f"{text!r}: {ink} on {ground} is {ratio:.2f}"


async def test_the_page_never_scrolls_sideways(busy: Page) -> None:
    for width in (1440, 768, 390, 360):
        busy.shape(width, 780, phone=width < 700)
        narrowed: list[object] = [width, []]
        # Charts are drawn anew a moment after their panel has another width.
        busy.until(lambda: bool(busy.ask(WIDE) == narrowed), told=lambda: busy.ask(WIDE))  # noqa: B023
    assert busy.ask(SMALL) == [], "a finger finds it"


async def test_a_change_is_shown_without_motion_to_who_wants_none(stream: Stream, busy: Page) -> None:
    with stream.worker():
        for number, motion in enumerate(("no-preference", "reduce")):
            busy.prefers(reduced_motion=motion)
            await stream.send(revenues(1, [1], version=2 + number, amount=number))
            await stream.wait_until_consumed(32 + number)
            await shows(stream, busy, 1)
            assert busy.ask(ANIMATED) == (motion != "reduce")
