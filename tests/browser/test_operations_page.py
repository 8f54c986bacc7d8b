"""The page for operators, on a gateway that has something to do: people who write and point."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import aiohttp
import jwt
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from tests.browser.operator import Operator
from tests.browser.people import PATIENCE, until
from tests.culprits.scene import ROOM, Scene, open_scene
from tests.durability.gateways import SECRET, token_of
from tests.server.admin_client import KEY
from tests.server.raw_client import CLOSE, RawClient, frame

from fastcollab import Config, Gateway
from fastcollab.errors import CloseCode

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONNECTIONS = "Connections worth a look"
#: What would run if any of it became HTML.
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><b>Eve</b>"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with open_scene(tmp_path_factory.mktemp("scene")) as scene:
        yield scene


@pytest_asyncio.fixture(loop_scope="session")
async def operator(browser: Browser, scene: Scene) -> AsyncIterator[Operator]:
    async with Operator(browser, scene.operations_url) as operator:
        yield operator


# --- the key ----------------------------------------------------------------------------------------------------------


async def test_a_wrong_key_is_said_to_be_wrong_and_a_right_one_is_kept_for_the_tab(operator: Operator) -> None:
    page = operator.page
    await operator.give_key("not the key")
    await expect(page.get_by_role("alert")).to_have_text("This key is wrong.")
    assert await page.get_by_role("table").count() == 0
    await operator.enter()
    await page.reload()
    await operator.row("Nodes", "ready").wait_for()
    await operator.press("Forget the key")
    await page.get_by_label("API key").wait_for()
    await page.reload()
    await page.get_by_label("API key").wait_for()


async def test_a_key_that_is_good_no_more_is_asked_for_again(operator: Operator) -> None:
    await operator.enter()
    await operator.page.route("**/api/v1/activity", lambda route: route.fulfill(status=401, body="{}"))
    await expect(operator.page.get_by_role("alert")).to_have_text("The gateway does not accept this key any more.")
    await operator.page.unroute("**/api/v1/activity")
    await operator.enter()


async def test_without_keys_it_says_how_to_make_one(browser: Browser) -> None:
    config = Config(auth={"secret": SECRET}, server={"host": "127.0.0.1", "port": 0}, ops={"port": 0})
    async with Gateway(config) as gateway:
        assert gateway.operations_url is not None
        async with Operator(browser, gateway.operations_url) as operator:
            await expect(operator.page.get_by_role("heading", level=2)).to_have_text("This gateway has no API key")
            await operator.page.get_by_text("FASTCOLLAB_OPS__API_KEYS").wait_for()


# --- what is seen -----------------------------------------------------------------------------------------------------


async def test_what_a_gateway_does_is_seen(operator: Operator) -> None:
    await operator.enter()
    for label in ("Connections", "Cursors delivered /s", "Operations /s", "Cursor fan-out, p99", "Commit, p99"):
        await until(f"{label} is not shown", lambda label=label: operator.figure(label), lambda seen: seen not in "0–")
    line = await until("there is no line", lambda: operator.line("Cursors delivered"), lambda line: "L" in line)
    assert line.startswith("M")
    await operator.row("Busiest rooms", ROOM).wait_for()
    await operator.row(CONNECTIONS, "ada").wait_for()


async def test_who_is_in_a_room_is_seen(operator: Operator) -> None:
    await operator.enter()
    await operator.press(ROOM)
    dialog = operator.page.get_by_role("dialog", name=f"Room {ROOM}")
    for user in ("ada", "ben", "cleo", "dan"):
        await dialog.get_by_role("row").filter(has_text=user).wait_for()
    await operator.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)


async def test_a_gateway_that_does_not_answer_is_said_not_to(operator: Operator) -> None:
    await operator.enter()
    status = operator.page.get_by_role("status").filter(has_text="Ready")
    await status.wait_for()
    await operator.page.route("**/api/v1/*", lambda route: route.abort())
    await operator.page.get_by_text("No answer, since").wait_for()
    await operator.row("Busiest rooms", ROOM).wait_for()  # what was seen last stays
    await operator.page.unroute("**/api/v1/*")
    await status.wait_for()


async def test_a_page_in_the_background_asks_nothing(operator: Operator) -> None:
    await operator.enter()
    await operator.put("hidden")
    await asyncio.sleep(0.2)  # what was under way is answered
    asked = len(operator.requests)
    await asyncio.sleep(1.2)
    assert len(operator.requests) == asked
    await operator.put("visible")

    async def look() -> int:
        return len(operator.requests) - asked

    await until("it does not ask again", look, lambda count: count > 0)


# --- what is done -----------------------------------------------------------------------------------------------------


async def test_a_button_ends_a_connection_and_no_other(operator: Operator, scene: Scene) -> None:
    async with AsyncExitStack() as running:
        first, second = [
            await running.enter_async_context(await RawClient.open(scene.gateway.url, token_of("zoe")))
            for _ in range(2)
        ]
        await operator.enter()
        await operator.row(CONNECTIONS, "zoe").nth(1).wait_for()
        disconnect = operator.row(CONNECTIONS, "zoe").first.get_by_role("button", name="Disconnect zoe", exact=True)
        # Asked first, and left alone by who does not agree; all of it by keyboard.
        await disconnect.focus()
        await operator.page.keyboard.press("Enter")
        dialog = operator.page.get_by_role("alertdialog", name="Disconnect zoe?")
        await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
        await operator.page.keyboard.press("Escape")
        await expect(disconnect).to_be_focused()
        await disconnect.click()
        await dialog.get_by_role("button", name="Disconnect", exact=True).click()
        # The first row is either's.
        ends = [asyncio.ensure_future(_close_code(each)) for each in (first, second)]
        done, going_on = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        assert (len(done), len(going_on)) == (1, 1)
        assert done.pop().result() == CloseCode.DISCONNECTED
        await operator.page.get_by_text("A connection of zoe was ended.").wait_for()
        # Its row stays as long as the focus is in it.
        await operator.page.get_by_role("heading", name="fastcollab").click()
        await expect(operator.row(CONNECTIONS, "zoe")).to_have_count(1)
        # … and everywhere ends the other one.
        await operator.press("Disconnect zoe everywhere")
        await operator.page.get_by_role("alertdialog").get_by_role("button", name="Disconnect everywhere").click()
        assert await going_on.pop() == CloseCode.DISCONNECTED


async def _close_code(client: RawClient) -> int:
    """That with which it is ended, whenever that is; it agrees."""
    while (received := await client.receive(PATIENCE)) is None or received.opcode != CLOSE:
        assert received is not None, "there was no close frame"
    client.send(frame(CLOSE, received.payload))
    return received.close_code


async def test_what_fails_is_said(operator: Operator) -> None:
    await operator.enter()
    refusal = '{"title": "Service Unavailable", "detail": "Redis is gone"}'
    await operator.page.route(
        "**/users/*/disconnect",
        lambda route: route.fulfill(status=503, body=refusal, content_type="application/problem+json"),
    )
    await operator.press("Disconnect ben everywhere")
    await operator.page.get_by_role("alertdialog").get_by_role("button", name="Disconnect everywhere").click()
    await operator.page.get_by_text("That failed: Redis is gone").wait_for()


# --- what must not be -------------------------------------------------------------------------------------------------


async def test_what_users_call_themselves_stays_text(operator: Operator, scene: Scene) -> None:
    claims = {"sub": HOSTILE, "name": HOSTILE, "exp": time.time() + 3600, "rooms": {"*": "write"}}
    async with await RawClient.open(scene.gateway.url, jwt.encode(claims, SECRET, "HS256")) as eve:
        await eve.join(HOSTILE)
        await operator.enter()
        await operator.row(CONNECTIONS, HOSTILE).wait_for()
        await operator.press(f"Disconnect {HOSTILE} everywhere")
        await operator.page.get_by_role("alertdialog").get_by_text(HOSTILE).first.wait_for()
        await operator.press("Cancel")
        await operator.press(HOSTILE)  # the room
        await operator.page.get_by_role("dialog").get_by_role("row").filter(has_text=HOSTILE).wait_for()
        assert await operator.page.locator("img, b").count() == 0
        assert await operator.page.title() == "Operations · fastcollab"


async def test_the_browser_runs_and_loads_nothing_from_elsewhere(operator: Operator, scene: Scene) -> None:
    await operator.enter()
    addresses = {urlsplit(url)._replace(path="", query="").geturl() for url in operator.requests}
    assert addresses == {scene.operations_url}
    run = operator.page.evaluate
    refused = "attempt => { try { attempt(); return 'done'; } catch (error) { return error.name; } }"
    markup = await run(f"() => ({refused})(() => {{ document.body.innerHTML = '<b>owned</b>'; }})")
    assert markup == "TypeError"
    assert await run("() => fetch('https://example.org/').then(() => 'done', error => error.name)") == "TypeError"
    inline = "() => document.body.append(Object.assign(document.createElement('style'), {textContent: 'a{}'}))"
    await run(inline)
    assert await run("() => document.styleSheets.length") == 1
    assert len(operator.complaints) >= 3, "the browser has refused each of them, and says so"
    operator.complaints.clear()


async def test_nothing_is_open_without_the_key(scene: Scene) -> None:
    async with aiohttp.ClientSession(scene.operations_url) as http:
        async with http.get("/") as response:
            assert response.status == 200
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert response.headers["Cache-Control"] == "no-cache"
            asset = "/" + (await response.text()).partition('src="./')[2].partition('"')[0]
        async with http.get(asset) as response:
            assert response.headers["Content-Security-Policy"] == policy
            assert "immutable" in response.headers["Cache-Control"]
            assert KEY not in await response.text()
        for path in ("/api/v1/activity", "/api/v1/nodes", "/api/v1/connections"):
            async with http.get(path) as response:
                assert response.status == 401
        for path in ("/assets/", "/assets/..%2Findex.html", "/assets/none.js", "/index.html"):
            async with http.get(path) as response:
                assert response.status == 404
