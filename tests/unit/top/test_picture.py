"""The picture fits, tells what matters, and lets nobody draw in it but itself."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tests.unit.top.scenes import answer, busy_answer, connection, node, room

from fastcollab.core.concern import Concern
from fastcollab.top.picture import draw, legend, short, shown, sparkline
from fastcollab.top.scene import Album
from fastcollab.top.source import Answer, Unanswered
from fastcollab.top.view import PANES, Pane, View

SIZES = [(80, 24), (100, 30), (140, 40), (200, 60)]


def drawn(found: Answer, view: View, width: int = 80, height: int | None = 24, *, colours: bool = False) -> list[str]:
    album = Album()
    scene = album.take({"http://a": found}, 1_800_000_000.0)
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colours, color_system="standard" if colours else None
    )
    with console.capture() as capture:
        console.print(draw(scene, view, album.trends, width, height))
    return capture.get().splitlines()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("pane", PANES)
def test_it_fits(pane: Pane, width: int, height: int) -> None:
    lines = drawn(busy_answer(), View(pane), width, height - 1)
    assert len(lines) <= height - 1
    assert max(map(len, lines)) <= width
    assert lines[0].endswith("08:00:00 UTC")
    assert any("Redis cannot be reached" in line for line in lines)
    assert legend(View(pane), width).cell_len <= width


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_an_overview_names_every_culprit(width: int, height: int) -> None:
    text = "\n".join(drawn(busy_answer(), View(), width, height - 1))
    for user, concern in (("mallory", "abusive"), ("sleepy", "slow"), ("far", "distant")):
        [line] = [line for line in text.splitlines() if line.startswith(user)]
        assert concern in line
    [line] = [line for line in text.splitlines() if line.startswith("mallory")]
    assert "operations 1.3k" in line
    assert "4 connections of concern" in text
    assert "faulty" in text
    assert "operations 900" in text
    assert "1003 900" in text
    assert "redis.commits 1.50/50" in text


def test_a_larger_terminal_tells_more() -> None:
    small, large = (drawn(busy_answer(), View(), *size) for size in ((80, 23), (200, 59)))
    assert sum(line.startswith("board-") for line in large) == 20 > sum(line.startswith("board-") for line in small)
    assert any("behind" in line for line in large)
    assert any("█" in line for line in large)


def test_without_a_height_all_is_told() -> None:
    lines = drawn(busy_answer(), View(), 80, None)
    assert sum(line.startswith("board-") for line in lines) == 20
    assert sum(line.startswith("user-") for line in lines) == 16


def test_colours_say_how_bad_it_is() -> None:
    text = "\n".join(drawn(busy_answer(), View(), 100, None, colours=True))
    assert "\x1b[1;31mabusive" in text
    assert "\x1b[33mslow" in text
    assert "\x1b[1;31mfaulty" in text
    assert "\x1b[32mready" in text
    assert "\x1b[1;31m92%" in text


def test_names_drive_no_terminal_and_stay_in_their_line() -> None:
    """Whatever a user is called, and a room, it is text; and not markup either."""
    nasty = "\x1b[2J\x07[bold]x\r\n\t\u202eevil\x9b31m"
    found = answer(
        node(faults=[nasty]),
        rooms=[room(nasty)],
        connections=[connection(nasty, Concern.SLOW, name=nasty, rooms=[nasty], refusals={nasty: 1})],
    )
    for pane in PANES:
        for line in drawn(found, View(pane), 200, None):
            assert line.isprintable(), ascii(line)
    text = "\n".join(drawn(found, View(), 200, None))
    assert "\\x1b[2J\\x07[bold]x" in text
    assert len(drawn(found, View(), 80, None)) == len(drawn(answer(connections=[connection()]), View(), 80, None))


def test_names_of_wide_characters_are_cut_by_their_width() -> None:
    lines = drawn(answer(rooms=[room("部屋" * 60)], connections=[connection("名前" * 60)]), View(), 80, 24)
    console = Console(width=80)
    assert all(console.render_str(line).cell_len <= 80 for line in lines)
    assert sum("…" in line for line in lines) >= 2


def test_many_faults_leave_room_for_the_rest() -> None:
    found = answer(node(faults=[f"fault {number}" for number in range(30)]))
    lines = drawn(found, View(), 80, 23)
    assert sum("fault " in line for line in lines) == 3
    assert any("27 faults more" in line for line in lines)
    assert any(line.startswith("ROOM") for line in lines)


def test_a_node_that_is_gone_is_said_to_be() -> None:
    album = Album()
    album.take({"http://a": answer()}, 0.0)
    scene = album.take({"http://a": Unanswered("http://a", "does not answer within 5 s")}, 1.0)
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as capture:
        console.print(draw(scene, View(), album.trends, 80, 23))
    text = capture.get()
    assert "http://a does not answer within 5 s; trying again" in text
    assert "gone" in text


def test_a_paused_picture_says_so() -> None:
    assert drawn(answer(), View(paused=True))[0].endswith("paused at 08:00:00 UTC")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, "0"), (0.04, "0"), (0.05, "0.1"), (9.94, "9.9"), (9.95, "10"), (999.4, "999"), (999.6, "1.0k"),
        (99_949, "99.9k"), (99_951, "100k"), (1_250_000, "1.2M"), (94e9, "94.0G"), (5e12, "5T"),
    ],
)  # fmt: skip
def test_numbers_are_short(number: float, told: str) -> None:
    assert short(number) == told


def test_bars() -> None:
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([0, 1, 50, 100]) == "▁▂▅█"


@given(st.lists(st.floats(0, 1e12), min_size=1))
def test_the_greatest_has_the_highest_bar(values: list[float]) -> None:
    bars = sparkline(values)
    assert len(bars) == len(values)
    assert bars[values.index(max(values))] == ("█" if any(values) else "▁")


def test_shown_is_one_line() -> None:
    assert shown("a\nb\tc\x00") == "a\\nb\\tc\\x00"
