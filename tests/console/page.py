"""The console as somebody sees it: figures by their names, tables as rows, what can be reached, and how it looks."""

import time
from collections.abc import Callable
from typing import Any, Final

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

_SECONDS_MAX: Final = 20.0
_COLUMNS: Final = "return [...document.querySelectorAll('tr[data-balance]')].map((row) => [row.dataset.balance, "
_CELLS: Final = (
    "Object.fromEntries([...row.querySelectorAll('[data-column]')].map((c) => [c.dataset.column, c.textContent]))])"
)


class Page:
    """A tab of the browser."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def shape(self, width: int, height: int, *, phone: bool = False) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefers(self, **features: str) -> None:
        """Such as color_scheme="dark"."""
        told = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": told})

    def open(self, address: str, token: str | None = None) -> None:
        self.driver.get(address if token is None else f"{address}#token={token}")

    def ask(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str, *arguments: Any) -> Any:
        """What the body of an asynchronous function returns."""
        told = f"(async () => {{ {script} }})().then(done, (error) => done(`${{error}}`));"
        return self.driver.execute_async_script(f"const done = arguments[arguments.length - 1]; {told}", *arguments)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def figure(self, name: str) -> str | None:
        """What is said of a figure; None where it is not on the page."""
        found: str | None = self.ask(
            "return document.querySelector(`[data-figure='${arguments[0]}']`)?.textContent.trim() ?? null", name
        )
        return found

    def figures(self, *names: str) -> dict[str, str | None]:
        return {name: self.figure(name) for name in names}

    def balances(self) -> dict[str, dict[str, str]]:
        """Each row of the table, by "property/date"."""
        return dict(self.ask(_COLUMNS + _CELLS))

    def follow(self, org_id: int) -> None:
        field = self.one("#org")
        field.clear()
        field.send_keys(str(org_id), Keys.ENTER)

    def until(
        self, holds: Callable[[], bool], seconds: float = _SECONDS_MAX, told: Callable[[], Any] | None = None
    ) -> None:
        """Look again and again until it holds."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if holds():
                    return
            except StaleElementReferenceException:  # drawn anew between two looks
                pass
            assert time.monotonic() < deadline, (
                f"not within {seconds} s: {told() if told else self.text()}; {self.complaints()}"
            )
            time.sleep(0.1)

    def until_figure(self, name: str, expected: str) -> None:
        self.until(
            lambda: self.figure(name) == expected, told=lambda: f"{name} is {self.figure(name)!r}, not {expected!r}"
        )

    def text(self) -> str:
        found: str = self.ask("return document.body.innerText")
        return found

    def complaints(self) -> list[str]:
        """What the browser had to say of the page since it was asked last."""
        entries: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]  # the driver has no types
        return [f"{each['level']} {each['message']}" for each in entries]
