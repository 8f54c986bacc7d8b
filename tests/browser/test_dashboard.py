"""People with browsers on one dashboard, through two gateways: each sees what the others do, and all see the same.

Every test ends with what is on all screens being what both gateways have.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.browser.people import Company, Person, until
from tests.browser.venue import DOOR, Venue

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def two(company: Company) -> tuple[Person, Person]:
    """Two people, each at another gateway."""
    return await company.enter(0), await company.enter(1)


async def test_pointers_are_seen_where_they_point(company: Company) -> None:
    ada, ben = await two(company)
    for x, y in ((0.25, 100), (0.75, 420)):
        await ada.point(x, y)
        seen = await until(
            "the pointer is elsewhere",
            lambda: ben.sees_pointer_of(ada),
            lambda seen, x=x, y=y: seen is not None and abs(seen[0] - x) < 0.005 and abs(seen[1] - y) < 3,
        )
        assert seen is not None
    await company.agree()


async def test_what_somebody_has_selected_is_marked_for_the_others(company: Company) -> None:
    ada, ben = await two(company)
    for widget_id in ("water", "seedlings"):
        await ada.widget(widget_id).get_by_test_id("number-value").click()
        await until(
            "it is not marked as selected",
            lambda: ben.page.eval_on_selector_all(
                "[data-selected-by]", "all => all.map(one => [one.dataset.widget, one.dataset.selectedBy])"
            ),
            lambda marked, widget_id=widget_id: marked == [[widget_id, ada.user_id]],
        )
    await company.agree()


async def test_two_write_in_one_title(company: Company) -> None:
    ada, ben = await two(company)
    await asyncio.gather(ada.write("climate", "", "Old "), ben.write("climate", "Greenhouse", ", south, 🌡"))
    await company.agree()
    assert await ada.title("climate") == "Old Greenhouse, south, 🌡 temperature"


async def test_two_write_in_one_note_and_see_each_others_caret(company: Company) -> None:
    ada, ben = await two(company)
    await asyncio.gather(ada.write_note("Water the beans 🫘."), ben.write_note("To do. ", "Control+Home"))
    await company.agree()
    note = await ada.note()
    assert note.startswith("To do. Write here")
    assert note.endswith("Water the beans 🫘.")
    for person in (ada, ben):
        await person.widget("plan").locator(".cm-fastcollab-caret").first.wait_for()
    await ada.page.keyboard.press("Control+z")
    await until("it is still there", ben.note, lambda note: "Water" not in note)
    assert (await ben.note()).startswith("To do. ")
    await company.agree()


async def test_two_format_and_write_in_one_rich_note(company: Company) -> None:
    ada, ben = await two(company)
    for person, key, text in ((ada, "Control+End", "Bring gloves"), (ben, "Control+Home", "Draft: ")):
        await person.widget("agenda").locator(".ql-editor").press(key)
        if person is ada:
            await person.page.keyboard.press("Enter")
            await person.widget("agenda").get_by_label("Bold").click()
        await person.page.keyboard.type(text, delay=20)
    board = {widget["id"]: widget for widget in await company.agree()}
    assert board["agenda"]["value"]["text"].startswith("Draft: ")
    assert board["agenda"]["value"]["bold"].endswith("Bring gloves")


async def test_the_caret_stays_at_its_word_while_another_writes_before_it(company: Company) -> None:
    ada, ben = await two(company)
    writing = asyncio.create_task(ada.write("climate", "", "a" * 40, delay=15))
    for number in range(12):
        await ben.write("climate", "Greenhouse" + "b" * number, "b")
    await writing
    await company.agree()
    assert await ada.title("climate") == "a" * 40 + "Greenhouse" + "b" * 12 + " temperature"


async def test_two_move_one_widget_at_once(company: Company) -> None:
    ada, ben = await two(company)
    async with ada.dragging("seedlings") as ada_moves, ben.dragging("seedlings") as ben_moves:
        for step in range(1, 9):
            await asyncio.gather(ada_moves(-step, step), ben_moves(0, 2 * step))
    await company.agree()
    x, y = await ada.cells("seedlings")
    assert x in (12 - 8, 12)  # each coordinate is where one of them has put it
    assert y in (8, 16)


async def test_what_is_taken_hold_of_or_dropped_is_on_top(company: Company) -> None:
    ada, ben = await two(company)
    await ada.drag("water", -9, 8)
    assert [widget["id"] for widget in await company.agree()][-1] == "water"
    # It lies upon these two, but not upon their corners.
    await asyncio.gather(ada.drag("harvest", 0, 1), ben.drag("climate", 0, 1))
    order = [widget["id"] for widget in await company.agree()]
    assert set(order[-2:]) == {"harvest", "climate"}


async def test_five_do_all_at_once(company: Company) -> None:
    people = [await company.enter(number % 2) for number in range(5)]
    ada, ben, eve, joe, liz = people
    await asyncio.gather(
        ada.drag("water", -3, 9),
        ben.write("harvest", "", "Late "),
        eve.count("seedlings", 7),
        joe.count("seedlings", -3),
        liz.drag("climate", 0, 5),
    )
    board = {widget["id"]: widget for widget in await company.agree()}
    assert (board["water"]["x"], board["water"]["y"]) == (15, 9)
    assert board["harvest"]["title"] == "Late Harvest by bed"
    assert board["seedlings"]["value"] == 286 + 7 - 3
    assert (board["climate"]["x"], board["climate"]["y"]) == (0, 5)


async def test_one_undoes_what_is_ones_own(company: Company) -> None:
    ada, ben = await two(company)
    await ada.drag("water", -2, 10)  # upon another one
    await ben.count("water", 4)
    await ben.write("climate", "", "The ")
    await company.agree()
    await ada.see("undo").click()
    await until("it is not back", lambda: ben.cells("water"), lambda cells: cells == (18, 0))
    board = {widget["id"]: widget for widget in await company.agree()}
    assert board["water"]["value"] == 1454
    assert board["climate"]["title"].startswith("The ")
    await ada.see("redo").click()
    await until("it is not away again", lambda: ben.cells("water"), lambda cells: cells == (16, 10))
    await ben.page.keyboard.press("Escape")
    await ben.page.keyboard.press("Control+z")
    await until("the title is not what it was", lambda: ada.title("climate"), lambda title: title[:4] != "The ")
    await company.agree()


async def test_what_two_did_without_a_network_is_merged(company: Company) -> None:
    ada, ben = await two(company)
    await ada.point(0.5, 300)
    await ben.cursor_of(ada).wait_for()
    for person in (ada, ben):
        # A note that was never opened cannot be opened without a network.
        await person.widget("plan").locator(".cm-content").wait_for()
        await person.switch_network()
    await ben.cursor_of(ada).wait_for(state="hidden")
    await ada.write("harvest", "", "Our ")
    await ben.write("harvest", "Harvest", " so far")
    await ada.count("seedlings", 5)
    await ben.count("seedlings", -2)
    await ada.write_note("From Ada. ")
    await ben.write_note("From Ben. ")
    await ben.drag("water", -6, 7)
    for person, title in ((ada, "Our Harvest by bed"), (ben, "Harvest so far by bed")):
        status = await person.status()
        assert status.standing == "offline"
        assert status.pending > 0
        assert await person.title("harvest") == title
    for person in (ada, ben):
        await person.switch_network()
    board = {widget["id"]: widget for widget in await company.agree()}
    assert board["harvest"]["title"] == "Our Harvest so far by bed"
    assert board["seedlings"]["value"] == 286 + 5 - 2
    assert "From Ada. " in board["plan"]["value"]
    assert "From Ben. " in board["plan"]["value"]
    assert (board["water"]["x"], board["water"]["y"]) == (12, 7)
    await ada.point(0.6, 300)
    await ben.cursor_of(ada).wait_for()


async def test_what_was_done_offline_outlives_the_tab(company: Company) -> None:
    ada, ben = await two(company)
    await ada.switch_network()
    await ada.write("climate", "", "Warm ")
    await ada.count("seedlings", 3)
    await ada.write_note("Kept for later. ")
    was = ada.user_id
    await ada.close()
    await ben.write("climate", "", "Very ")
    await ada.open()
    assert ada.user_id == was
    board = {widget["id"]: widget for widget in await company.agree()}
    assert sorted(board["climate"]["title"].split()) == ["Greenhouse", "Very", "Warm", "temperature"]
    assert board["seedlings"]["value"] == 286 + 3
    assert board["plan"]["value"].count("Kept for later. ") == 1
    # Nothing comes twice, however often the page is opened.
    await ada.page.reload()
    assert {widget["id"]: widget for widget in await company.agree()} == board


@pytest.mark.parametrize("gateway", [0, DOOR], ids=["its own comes back", "the other takes over"])
async def test_a_gateway_is_killed(company: Company, venue: Venue, gateway: int) -> None:
    ada, ben = await company.enter(gateway), await company.enter(1)
    killed = venue.gateways[0]
    await ada.write("climate", "", "A ")
    await company.agree()
    await killed.kill()
    try:
        await ada.write("climate", "A ", "hot ")
        await ben.count("water", 2)
        if gateway == DOOR:
            # Where the door has led is not known; the other one is the only one there now.
            await until("it is not saved", ada.status, lambda status: status.is_settled)
            await until("nothing came", lambda: ben.title("climate"), lambda title: title.startswith("A hot "))
        else:
            assert not (await ada.status()).is_settled
    finally:
        await killed.start()
    board = {widget["id"]: widget for widget in await company.agree()}
    assert board["climate"]["title"] == "A hot Greenhouse temperature"
    assert board["water"]["value"] == 1452


async def test_a_token_is_replaced_before_it_runs_out(company: Company, venue: Venue) -> None:
    venue.token_lifetime = 4
    try:
        ada, _ = await two(company)
        given = venue.tokens_given
        reconnections = ada.page.get_by_text("Reconnected").locator("..").locator("dd")
        await asyncio.sleep(venue.token_lifetime + 1)
        assert venue.tokens_given >= given + 2
        await ada.count("water", 1)
        await company.agree()
        assert await reconnections.inner_text() == "0×"
    finally:
        venue.token_lifetime = 3600


async def test_a_token_that_ran_out_is_replaced_as_soon_as_there_is_another(company: Company, venue: Venue) -> None:
    venue.token_lifetime = 3
    try:
        ada, _ = await two(company)
        await ada.page.route("**/demo/token", lambda route: route.abort())
        await until("it goes on without a token", ada.status, lambda status: not status.is_settled)
        await ada.count("water", 1)
    finally:
        venue.token_lifetime = 3600
    await ada.page.unroute("**/demo/token")
    board = {widget["id"]: widget for widget in await company.agree()}
    assert board["water"]["value"] == 1451
