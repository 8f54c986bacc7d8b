"""Pictures of the dashboard and of the page for operators, to be looked at.

``python -m tests.browser.screenshots`` (`make screenshots`) makes them.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from playwright.async_api import Browser, Page, ViewportSize, async_playwright
from tests.browser.chromium import launch
from tests.browser.operator import Operator
from tests.browser.people import DESKTOP, PHONE, Company, Person
from tests.browser.venue import open_venue
from tests.culprits.scene import open_scene

FOLDER = Path("build/screenshots")
TABLET: ViewportSize = {"width": 768, "height": 1024}
OPERATIONS: ViewportSize = {"width": 1280, "height": 800}
PEOPLE = 5
SETTLING = 1.5  # seconds
#: For how long (s) an operator watches while all is well, and then while three things go wrong.
WELL, WORSE = 40, 15


class Album:
    def __init__(self, company: Company) -> None:
        self._company = company

    @asynccontextmanager
    async def visit(self, name: str, viewport: ViewportSize, scheme: Any = "light") -> AsyncIterator[Person]:
        """Somebody before a screen of that size, of which a picture is taken at the end."""
        person = await self._company.enter(0)
        await person.page.set_viewport_size(viewport)
        await person.page.emulate_media(color_scheme=scheme)
        yield person
        await asyncio.sleep(SETTLING)
        await take(person.page, name)
        await person.close()


async def photograph_operations(browser: Browser) -> None:
    """The page for operators, while three things go wrong."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            open_scene(Path(folder)) as scene,
            Operator(browser, scene.operations_url) as operator,
        ):
            await operator.enter()
            await asyncio.sleep(WELL)
            async with scene.slow_client(), scene.abusive_client(), scene.slow_redis():
                await asyncio.sleep(WORSE)
                for name, viewport, scheme in (
                    ("operations-light", OPERATIONS, "light"),
                    ("operations-dark", OPERATIONS, "dark"),
                    ("operations-phone", PHONE, "light"),
                ):
                    await operator.page.set_viewport_size(viewport)
                    await operator.page.emulate_media(color_scheme=cast(Any, scheme))
                    await asyncio.sleep(SETTLING)
                    await take(operator.page, name)


async def take(page: Page, name: str) -> None:
    await page.screenshot(path=FOLDER / f"{name}.png")
    print(FOLDER / f"{name}.png")


async def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright, open_venue() as venue:
        browser = await launch(playwright)
        await photograph_operations(browser)
        company = Company(browser, venue)
        album = Album(company)
        async with album.visit("alone", DESKTOP):
            pass
        await venue.crowd.resize(PEOPLE)
        for scheme in ("light", "dark"):
            async with album.visit(f"desktop-{scheme}", DESKTOP, scheme) as person:
                await person.write_note("Who can bring the wheelbarrow on Saturday?")
            async with album.visit(f"phone-{scheme}", PHONE, scheme):
                pass
            async with album.visit(f"phone-arranging-{scheme}", PHONE, scheme) as person:
                await person.see("arrange").click()
            async with album.visit(f"tablet-{scheme}", TABLET, scheme):
                pass
        async with album.visit("participants", DESKTOP) as person:
            await person.page.get_by_label("people are here").click()
        async with album.visit("adding", DESKTOP) as person:
            await person.see("add").click()
        async with album.visit("offline", DESKTOP) as person:
            await person.switch_network()
            await person.count("water", 3)
        async with album.visit("message", DESKTOP) as person:
            await person.see("inspector-pause").click()
            await person.see("message").last.click()
        async with album.visit("dragging", DESKTOP) as person:
            box = await person.widget("water").get_by_test_id("widget-handle").bounding_box()
            assert box is not None
            await person.page.mouse.move(box["x"] + 6, box["y"] + 6)
            await person.page.mouse.down()
            await person.page.mouse.move(box["x"] - 120, box["y"] + 210, steps=6)
        async with album.visit("phone-lab", PHONE) as person:
            await person.see("lab-toggle").click()
        await venue.crowd.resize(100)
        async with album.visit("crowd", DESKTOP):
            pass
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
