"""Somebody before the page for operators, as the roles and names of its parts tell it to who cannot see them."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from playwright.async_api import Browser, Locator, Page
from tests.browser.people import PATIENCE
from tests.server.admin_client import KEY

_HIDE = """state => {
  Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


class Operator:
    """Opens the page of the operations port at this address."""

    def __init__(self, browser: Browser, url: str, viewport: tuple[int, int] = (1280, 800)) -> None:
        self._browser = browser
        self._url = url
        self._viewport = {"width": viewport[0], "height": viewport[1]}
        #: What the browser was asked to load, by address.
        self.requests: list[str] = []
        #: Errors that nobody has caught, and what the browser has refused to do.
        self.complaints: list[str] = []

    async def __aenter__(self) -> Self:
        self._context = await self._browser.new_context(viewport=self._viewport, reduced_motion="reduce")
        self._context.set_default_timeout(PATIENCE * 1000)
        self.page: Page = await self._context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._logged)
        self.page.on("request", lambda request: self.requests.append(request.url))
        await self.page.goto(self._url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._context.close()
        if error is None:
            assert not self.complaints

    async def give_key(self, key: str = KEY) -> None:
        await self.page.get_by_label("API key").fill(key)
        await self.page.get_by_label("API key").press("Enter")

    async def enter(self) -> Self:
        """Gives the key, and waits until there is something to be seen."""
        await self.give_key()
        await self.row("Nodes", "ready").wait_for()
        return self

    def row(self, table: str, containing: str) -> Locator:
        """The row of the table of that name that has this text in it."""
        return self.page.get_by_role("table", name=table).get_by_role("row").filter(has_text=containing)

    def press(self, button: str) -> Any:
        return self.page.get_by_role("button", name=button, exact=True).click()

    async def figure(self, label: str) -> str:
        """What is shown under this label."""
        return await self.page.locator(".figure").filter(has_text=label).locator("strong").inner_text()

    async def line(self, label: str) -> str:
        """The line under it, as a path."""
        path = self.page.locator(".figure").filter(has_text=label).locator("path")
        return await path.get_attribute("d") or ""

    async def put(self, visibility: str) -> None:
        """Puts the page in the background (`hidden`) or before it again (`visible`)."""
        await self.page.evaluate(_HIDE, visibility)

    def _logged(self, message: Any) -> None:
        # That a request was refused, or not answered, is said by the browser, and is what some tests are about.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)
