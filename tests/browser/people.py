"""People before the dashboard: what they do with mouse and keyboard, and what they see.

Things are found as `sdk/demo/src/testids.ts` tells. What somebody sees of the document is read from the page, in the
form in which :func:`visible` has it of a document: the two are equal when what is on the screen is what the gateway
has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from playwright.async_api import Browser, BrowserContext, Locator, Page, ViewportSize
from tests.browser.venue import Venue

PATIENCE = 20.0  # seconds

DESKTOP: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}

_T = TypeVar("_T")

#: Widgets by their ids, from the lowest to the topmost.
_VISIBLE = r"""() => {
  const number = text => Number(text.replaceAll(',', ''));
  const within = (widget, id) => [...widget.querySelectorAll(`[data-testid=${id}]`)];
  const written = line => {
    const copy = line.cloneNode(true);
    for (const caret of copy.querySelectorAll('.cm-fastcollab-caret')) caret.remove();
    return copy.textContent;
  };
  const value = {
    number: widget => number(within(widget, 'number-value')[0].querySelector('strong').textContent),
    line: widget => number(within(widget, 'line-value')[0].textContent),
    bar: widget => within(widget, 'bar').map(bar => number(bar.getAttribute('aria-valuenow'))),
    text: widget => [...widget.querySelectorAll('.cm-line')].map(written).join('\n'),
    'rich-text': widget => {
      const texts = selector => [...widget.querySelectorAll(selector)].map(each => each.textContent);
      return { text: texts('.ql-editor :is(p, h2, li)').join('\n'), bold: texts('.ql-editor strong').join('') };
    },
  };
  return [...document.querySelectorAll('[data-testid=widget]')]
    .sort((a, b) => a.style.zIndex - b.style.zIndex)
    .map(widget => ({
      id: widget.dataset.widget,
      title: within(widget, 'widget-title')[0].value,
      ...Object.fromEntries(['x', 'y', 'w', 'h'].map(key => [key, Number(widget.dataset[key])])),
      value: value[widget.dataset.type](widget),
    }));
}"""


#: Into a field, behind these words of it.
_PUT_CARET = """(field, behind) => {
  field.focus();
  const at = field.value.indexOf(behind) + behind.length;
  field.setSelectionRange(at, at);
}"""


def _text(content: Iterable[Any]) -> str:
    """That of a Delta."""
    return "".join(each["insert"] for each in content)


_DOCUMENT_VALUES: Mapping[str, Callable[[Any], Any]] = {
    "number": lambda widget: widget["value"],
    "line": lambda widget: widget["points"][-1],
    "bar": lambda widget: [bar["value"] for bar in widget["bars"]],
    "text": lambda widget: widget["content"],
    "rich-text": lambda widget: {
        "text": _text(widget["content"]).removesuffix("\n"),
        "bold": _text(each for each in widget["content"] if each.get("attributes", {}).get("bold")),
    },
}


def visible(document: Any) -> list[dict[str, Any]]:
    """What of a dashboard's documents can be seen on the page."""
    return [
        {key: widget[key] for key in ("id", "title", "x", "y", "w", "h")}
        | {"value": _DOCUMENT_VALUES[widget["type"]](widget)}
        for widget in document["widgets"]
    ]


async def until(what: str, look: Callable[[], Awaitable[_T]], wanted: Callable[[_T], bool]) -> _T:
    """Looks again and again until what is seen is what is `wanted`, and returns it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while not wanted(seen := await look()):
        assert loop.time() < deadline, f"{what}: {seen!r} is what is seen after {PATIENCE} s"
        await asyncio.sleep(0.05)
    return seen


class Status(NamedTuple):
    standing: str
    pending: int

    @property
    def is_settled(self) -> bool:
        """There is a connection, and all is saved."""
        return self.standing in ("connected", "saved") and not self.pending


class Person:
    """Somebody with one tab. `context` is their browser, which remembers what the tab has stored when it is closed."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context = context
        self._address = address
        self._page: Page | None = None
        self.user_id = ""
        #: What went wrong on the pages: errors that nobody has caught, and what React or the code complained of.
        self.complaints: list[str] = []

    @property
    def page(self) -> Page:
        assert self._page is not None, "the page is not open"
        return self._page

    async def open(self) -> None:
        """Opens the dashboard in a tab, and returns when there is something to be seen of it."""
        self._page = page = await self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._logged)
        async with page.expect_response("**/demo/token") as answered:
            await page.goto(self._address)
        self.user_id = (await (await answered.value).json())["user"]["userId"]
        await self.see("board").wait_for()

    async def close(self) -> None:
        """Closes the tab."""
        await self.page.close()
        self._page = None

    def see(self, test_id: str) -> Locator:
        return self.page.get_by_test_id(test_id)

    def widget(self, widget_id: str) -> Locator:
        return self.page.locator(f'[data-widget="{widget_id}"]')

    async def board(self) -> list[dict[str, Any]]:
        """What is seen of the document."""
        seen: list[dict[str, Any]] = await self.page.evaluate(_VISIBLE)
        return seen

    async def cells(self, widget_id: str) -> tuple[int, int]:
        """Where the widget is."""
        widget = next(widget for widget in await self.board() if widget["id"] == widget_id)
        return widget["x"], widget["y"]

    async def status(self) -> Status:
        pill = self.see("status")
        return Status(await pill.get_attribute("data-status") or "", int(await pill.get_attribute("data-pending") or 0))

    async def switch_network(self) -> None:
        """Cuts the network, or mends it."""
        await self.see("network").click()

    async def point(self, x: float, y: float) -> None:
        """Moves the mouse there, in parts of the board's width and in pixels from its top."""
        box = await self._box(self.see("board"))
        await self.page.mouse.move(box["x"] + x * box["width"], box["y"] + y)

    def cursor_of(self, other: Person) -> Locator:
        """The other one's cursor, whoever else there may be still."""
        return self.page.locator(f'[data-testid="cursor"][data-user="{other.user_id}"]')

    async def sees_pointer_of(self, other: Person) -> tuple[float, float] | None:
        """Where the other one's cursor is, as `point` has it; None if there is none."""
        cursor = self.cursor_of(other)
        if not await cursor.count():
            return None
        board, box = await self._box(self.see("board")), await self._box(cursor)
        return (box["x"] - board["x"]) / board["width"], box["y"] - board["y"]

    async def drag(self, widget_id: str, columns: float, rows: float, steps: int = 8) -> None:
        """Moves a widget by its head, so many cells."""
        async with self.dragging(widget_id) as move:
            for step in range(1, steps + 1):
                await move(columns * step / steps, rows * step / steps)

    @asynccontextmanager
    async def touching(self, widget_id: str, part: str) -> AsyncIterator[Callable[[float, float], Awaitable[None]]]:
        """Has a finger on a part of a widget; gives a function that moves it so many cells away from where it was."""
        box = await self._box(self.widget(widget_id).get_by_test_id(part))
        column = (await self._box(self.see("board")))["width"] / 24
        from_x, from_y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        devtools = await self.page.context.new_cdp_session(self.page)

        async def touch(event: str, *points: dict[str, float]) -> None:
            await devtools.send("Input.dispatchTouchEvent", {"type": event, "touchPoints": list(points)})

        await touch("touchStart", {"x": from_x, "y": from_y})
        yield lambda columns, rows: touch("touchMove", {"x": from_x + columns * column, "y": from_y + rows * 20})
        await touch("touchEnd")

    @asynccontextmanager
    async def composing(self, *stages: str) -> AsyncIterator[None]:
        """Writes a word with an input method: it goes through these stages, and the last one is written in the end."""
        devtools = await self.page.context.new_cdp_session(self.page)
        for stage in stages:
            composition = {"text": stage, "selectionStart": len(stage), "selectionEnd": len(stage)}
            await devtools.send("Input.imeSetComposition", composition)
        yield
        await devtools.send("Input.insertText", {"text": stages[-1]})

    @asynccontextmanager
    async def dragging(self, widget_id: str) -> AsyncIterator[Callable[[float, float], Awaitable[None]]]:
        """Has hold of a widget; gives a function that takes it so many cells away from where it was."""
        box = await self._box(self.widget(widget_id).get_by_test_id("widget-handle"))
        column = (await self._box(self.see("board")))["width"] / 24
        mouse = self.page.mouse
        from_x, from_y = box["x"] + 6, box["y"] + 6  # beside the title
        await mouse.move(from_x, from_y)
        await mouse.down()
        yield lambda columns, rows: mouse.move(from_x + columns * column, from_y + rows * 20)
        await mouse.up()

    async def note(self) -> str:
        """What is seen of the note."""
        return next(str(widget["value"]) for widget in await self.board() if widget["id"] == "plan")

    async def write_note(self, text: str, key: str = "Control+End") -> None:
        """Types into the note, letter by letter, where the key leads to."""
        await self.widget("plan").locator(".cm-content").press(key)
        await self.page.keyboard.type(text, delay=20)

    async def write(self, widget_id: str, behind: str, text: str, delay: float = 20) -> None:
        """Types into the title, letter by letter, behind these words of it; behind none is at its beginning."""
        title = self.widget(widget_id).get_by_test_id("widget-title")
        await title.click()
        await title.evaluate(_PUT_CARET, behind)
        await self.page.keyboard.type(text, delay=delay)

    async def title(self, widget_id: str) -> str:
        return await self.widget(widget_id).get_by_test_id("widget-title").input_value()

    async def count(self, widget_id: str, times: int) -> None:
        """Counts a number up, or down if it is negative."""
        button = self.widget(widget_id).get_by_test_id("number-more" if times > 0 else "number-less")
        for _ in range(abs(times)):
            await button.click()

    def _logged(self, message: Any) -> None:
        # That nobody answers is said by the browser, and is what some tests are about.
        if message.type in ("error", "warning") and "net::ERR_" not in message.text:
            self.complaints.append(message.text)

    @staticmethod
    async def _box(locator: Locator) -> Any:
        box = await locator.bounding_box()
        assert box is not None, "it cannot be seen"
        return box


class Company:
    """Those who are at the venue, each with a browser of their own."""

    def __init__(self, browser: Browser, venue: Venue) -> None:
        self._browser = browser
        self._venue = venue
        self.people: list[Person] = []

    async def enter(self, gateway: int = 0, has_phone: bool = False) -> Person:
        """Somebody new, whose page is led to that gateway."""
        context = await self._browser.new_context(
            viewport=PHONE if has_phone else DESKTOP,
            has_touch=has_phone,
            is_mobile=has_phone,
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE * 1000)
        person = Person(context, f"{self._venue.url}/?gateway={gateway}")
        self.people.append(person)
        await person.open()
        return person

    async def agree(self) -> list[dict[str, Any]]:
        """Waits until all is saved, and everybody sees what every gateway has, which is returned."""
        for person in self.people:
            await until("not everything is saved", person.status, lambda status: status.is_settled)

        async def look() -> list[list[dict[str, Any]]]:
            documents = await asyncio.gather(*(self._venue.content(at) for at in range(len(self._venue.gateways))))
            return [visible(each) for each in documents] + [await person.board() for person in self.people]

        return (await until("the copies differ", look, lambda seen: all(each == seen[0] for each in seen)))[0]

    async def leave(self) -> None:
        for person in self.people:
            await person.context.close()
