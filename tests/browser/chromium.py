"""The browser: headless, without a graphics card, and one that downloads nothing and reports nothing."""

from __future__ import annotations

import shutil

from playwright.async_api import Browser, Playwright

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


async def launch(playwright: Playwright) -> Browser:
    """Starts the system's Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "there is no browser: run `make browser`"
    return await playwright.chromium.launch(executable_path=program, args=list(FLAGS))
