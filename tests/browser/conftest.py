"""Headless Chromium before a dashboard that really runs. Browser and venue are made once for all tests; the dashboard
is furnished anew for each, and everybody leaves at its end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, async_playwright
from tests.browser.chromium import launch
from tests.browser.people import Company
from tests.browser.venue import Venue, open_venue


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await launch(playwright)
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
