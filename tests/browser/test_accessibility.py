"""The dashboard by touch, by keys and with an input method, and for eyes that need contrast."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from tests.browser.people import Company, Person, until

from fastcollab.demo.people import COLORS
from fastcollab.server.auth import color_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: What the gateway gives to users without a colour of their own, the demonstration's, and what tokens may have.
PALETTE = sorted(
    {color_of(f"user-{number}") for number in range(1000)}
    | set(COLORS)
    | {f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in product((0, 64, 128, 192, 255), repeat=3)}
    | {"gold", "hsl(200 60% 46%)", "#777", "#757575", "#767676"}
)

#: The contrast (WCAG 2) of the texts that a selector finds, when they stand on the colours.
_CONTRASTS = r"""(elements, [property, colors]) => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const luminance = color => {
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map(part => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const label = elements[0];
  const owner = label.closest(`[style*="${property}"]`);
  const style = owner.getAttribute('style');
  const before = property === '--own' ? owner.style.getPropertyValue('--own') : '';
  const contrasts = colors.map(color => {
    // As the page has written it, with another colour.
    if (before) owner.setAttribute('style', style.replaceAll(before, color));
    else owner.style.setProperty(property, color);
    const seen = getComputedStyle(label);
    const [light, dark] = [luminance(seen.color), luminance(seen.backgroundColor)].sort((a, b) => b - a);
    return [color, (light + 0.05) / (dark + 0.05)];
  });
  owner.setAttribute('style', style);
  return contrasts;
}"""


_WATCH_COMPOSITIONS = """field => {
  window.compositions = [];
  for (const type of ['compositionstart', 'compositionend']) {
    field.addEventListener(type, ({ data }) => window.compositions.push(`${type} ${data}`));
  }
}"""


async def place(person: Person, widget_id: str) -> tuple[int, ...]:
    widget = next(widget for widget in await person.board() if widget["id"] == widget_id)
    return tuple(widget[key] for key in "xywh")


async def test_widgets_are_arranged_on_a_phone_by_fingers_and_by_keys(company: Company) -> None:
    ada, ben = await company.enter(0, has_phone=True), await company.enter(1)
    await ada.see("arrange").tap()
    async with ada.touching("seedlings", "widget-handle") as move:
        for step in range(1, 7):
            await move(-step, step)
    assert await place(ada, "seedlings") == (6, 6, 6, 7)
    async with ada.touching("seedlings", "widget-resize") as move:
        await move(2, 3)
    assert await place(ada, "seedlings") == (6, 6, 8, 10)
    async with ada.touching("seedlings", "widget-resize") as move:
        await move(-20, -20)
    assert await place(ada, "seedlings") == (6, 6, 4, 5)  # it gets no smaller
    for key in ("ArrowRight", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown"):
        await ada.widget("seedlings").press(key)
    assert await place(ada, "seedlings") == (7, 5, 5, 6)
    assert await ada.see("announcement").inner_text() == "5 wide, 6 high"
    await company.agree()
    assert await place(ben, "seedlings") == (7, 5, 5, 6)
    await ada.see("undo").tap()
    await ada.see("arrange").tap()
    await ada.widget("seedlings").get_by_test_id("number-more").tap()
    await until("it has not counted", lambda: value(ben, "seedlings"), lambda seen: seen == 287)


async def value(person: Person, widget_id: str) -> Any:
    return next(widget["value"] for widget in await person.board() if widget["id"] == widget_id)


async def test_names_are_read_well_on_every_colour(company: Company) -> None:
    ada, ben = await company.enter(0), await company.enter(1)
    await ada.point(0.5, 300)

    async def look(selector: str, name: str) -> None:
        label = ben.page.locator(selector)
        await label.first.wait_for(state="attached")
        contrasts = await label.evaluate_all(_CONTRASTS, [name, PALETTE])
        assert len(contrasts) == len(PALETTE)
        assert [pair for pair in contrasts if pair[1] < 4.5] == []

    await ada.write_note("Hello. ")
    for selector, name in (
        (".cursor-name", "--own"),
        (".face", "--own"),
        (".widget-admirer", "--own"),
        (".cm-fastcollab-name", "--fastcollab-color"),
    ):
        await look(selector, name)
    await ada.widget("agenda").locator(".ql-editor").press("Control+Home")
    await look(".ql-fastcollab-name", "--fastcollab-color")


@pytest.mark.parametrize(("widget_id", "field"), [("plan", ".cm-content"), ("agenda", ".ql-editor")])
async def test_what_others_write_does_not_tear_a_word_that_is_composed(
    company: Company, widget_id: str, field: str
) -> None:
    ada, ben = await company.enter(0), await company.enter(1)
    mine, theirs = (person.widget(widget_id).locator(field) for person in (ada, ben))
    await theirs.wait_for()
    await mine.press("Control+Home")
    await ada.page.keyboard.type("ab")
    await ada.page.keyboard.press("ArrowLeft")
    await until("nothing came", theirs.inner_text, lambda text: text.startswith("ab"))
    await mine.evaluate(_WATCH_COMPOSITIONS)
    async with ada.composing("に", "にほ", "にほん", "日本"):
        await theirs.press("Control+End")
        await ben.page.keyboard.type("Y")
        if widget_id == "plan":  # CodeMirror need not wait with another line
            await until("nothing came", mine.inner_text, lambda text: "Y" in text)
        await theirs.press("Control+Home")
        await ben.page.keyboard.press("ArrowRight")
        await ben.page.keyboard.type("X")  # between the a and the word
        await ben.count("water", 1)
        await until("nothing came", lambda: value(ada, "water"), lambda seen: seen == 1451)
    board = {widget["id"]: widget["value"] for widget in await company.agree()}
    text = board[widget_id] if widget_id == "plan" else board[widget_id]["text"]
    assert text[:5] in ("aX日本b", "a日本Xb")
    assert text.endswith("Y")
    assert await ada.page.evaluate("compositions") == ["compositionstart ", "compositionend 日本"]
