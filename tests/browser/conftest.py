"""Headless Chromium before a dashboard that really runs. Browser and venue are made once for all tests; the dashboard
is furnished anew for each, and everybody leaves at its end.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, async_playwright
from tests.browser.people import Company
from tests.browser.venue import Venue, open_venue

#: One that downloads nothing, reports nothing, and draws without a graphics card.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "there is no browser: run `make browser`"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def venue() -> AsyncIterator[Venue]:
    async with open_venue() as venue:
        yield venue


@pytest_asyncio.fixture(loop_scope="session")
async def company(browser: Browser, venue: Venue) -> AsyncIterator[Company]:
    await venue.furnish()
    company = Company(browser, venue)
    yield company
    complaints = [complaint for person in company.people for complaint in person.complaints]
    await company.leave()
    assert not complaints
