"""Who may look: a token by hand or in the address, kept for the tab alone, and what is told to who has no right."""

from selenium.webdriver.common.keys import Keys

from tests.api.issuing import Issuer
from tests.console.page import Page
from tests.console.server import Server

STORED = "return [sessionStorage.getItem('folio-token'), localStorage.length, document.cookie]"


async def test_a_token_that_was_pasted_opens_the_console(server: Server, page: Page) -> None:
    page.open(server.console)
    page.until(lambda: bool(page.all("#token")))
    assert page.ask("return document.activeElement.id") == "token"
    page.one("#token").send_keys(f"  {server.operator}", Keys.ENTER)
    page.until(lambda: (page.figure("connection") or "").startswith("✓ Live"))
    assert page.ask(STORED) == [server.operator, 0, ""]
    page.driver.refresh()
    page.until(lambda: (page.figure("connection") or "").startswith("✓ Live"))
    page.one("header.head button").click()
    page.until(lambda: bool(page.all("#token")))
    assert page.ask(STORED) == [None, 0, ""]


async def test_a_token_in_the_address_is_taken_out_of_it_at_once(server: Server, page: Page) -> None:
    page.open(server.console, server.operator)
    page.until(lambda: (page.figure("connection") or "").startswith("✓ Live"))
    assert page.driver.current_url == server.console
    assert page.ask(STORED) == [server.operator, 0, ""]
    page.driver.back()
    assert server.operator not in page.driver.current_url, "nor is it in the history"


async def test_who_has_no_right_is_told_why(server: Server, page: Page, issuer: Issuer) -> None:
    for token, why in ((issuer.token(1), "role `operator`"), ("nonsense", "not valid"), (forged(), "not valid")):
        page.open("about:blank")
        page.open(server.console, token)
        page.until(lambda: bool(page.all("[role=alert]")) and page.one("[role=alert]").text != "")
        assert "Not accepted" in page.one("[role=alert]").text
        assert why in page.one("[role=alert]").text
        assert page.one("#token").get_attribute("aria-invalid") == "true"
        assert page.ask(STORED) == [None, 0, ""]


def forged() -> str:
    """By another key that calls itself the same."""
    return Issuer().token(roles=["operator"])
