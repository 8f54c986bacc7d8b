"""The picture of a scene: what fits into so many columns and lines, in words and numbers first, and in colours too.

Whatever users have chosen, names and ids, is shown as text: nothing in it drives the terminal, and what is longer than
its column is cut. Columns that are worth less are left out where there is no room for them, so that the picture is
whole at 80 columns and has more to tell at 200.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fastcollab.core.concern import Concern
from fastcollab.logs import printable
from fastcollab.server.admin.activity_forms import WatchedConnection
from fastcollab.top.scene import Scene, SeenLatency, SeenNode, short_name
from fastcollab.top.view import PANES, Pane, View

GOOD, UNEASY, BAD, FAINT = "green", "yellow", "bold red", "dim"

_CONCERNS = {Concern.ABUSIVE: BAD, Concern.SLOW: UNEASY, Concern.FAILING: "magenta", Concern.DISTANT: "cyan"}
#: From where on a share of a core, and milliseconds, are of concern, and bad.
_CPU = (0.7, 0.9)
_LATENCY = (50.0, 250.0)
#: Between two columns; and how wide the one with a name is at least, and usually.
_GAP = 1
_LEAST, _USUAL = 10, 32
_BARS = "▁▂▃▄▅▆▇█"
#: How many lines of faults an overview has at most, and how many nodes.
_MOST_FAULTS = 4
_MOST_NODES = 6

Trends = Mapping[str, Iterable[float]]
Cell = Text | str


@dataclass(frozen=True, slots=True)
class Column:
    """`cell` makes one of an item. The column is there from `wide` columns of the terminal on. It has as much as it
    needs, at most `most`; one that `grows` has what the others leave.
    """

    title: str
    cell: Callable[[Any], Cell]
    wide: int = 0
    grows: bool = False
    most: int | None = None
    left: bool = False


def draw(scene: Scene, view: View, trends: Trends, width: int, height: int | None = None) -> RenderableType:
    """The picture; without a `height` it is as long as it has to be."""
    parts: list[RenderableType] = [_title(scene, view, width), *_state(scene, width, height)]
    left = None if height is None else height - len(parts) - 1
    match view.pane:
        case Pane.OVERVIEW:
            parts += _overview(scene, view, trends, width, left)
        case Pane.NODES:
            parts.append(_nodes(scene, view, width, left))
        case Pane.ROOMS:
            parts.append(_rooms(scene, view, width, left))
        case Pane.CONNECTIONS:
            parts.append(_connections(scene, view, width, left))
        case Pane.LATENCIES:
            parts.append(_latencies(scene, view, width, left))
    return Group(*parts)


def legend(view: View, width: int) -> Text:
    """The keys."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for number, pane in enumerate(PANES, 1):
        text.append(f"{number} ", FAINT)
        text.append(pane.value, "bold" if pane is view.pane else FAINT)
        text.append("  ")
    if view.pane is not Pane.OVERVIEW:
        text.append(f"s by {view.order(view.pane)[0]}  ", FAINT)
    text.append("space pause  q quit" if width >= 100 else "q quit", FAINT)
    return text


# --- parts ------------------------------------------------------------------------------------------------------------


def _title(scene: Scene, view: View, width: int) -> Text:
    text = Text("fastcollab top", "bold", no_wrap=True, overflow="ellipsis")
    there = [each.info for each in scene.nodes if not each.trouble]
    counts = [_many(len(there), "node"), _many(sum(info.connections for info in there), "connection")]
    if len(there) == 1:
        [info] = there
        counts += [_many(info.users, "user"), _many(info.rooms, "room")]
    text.append("   " + " · ".join(counts), "not bold")
    time = datetime.fromtimestamp(scene.at, UTC).strftime("%H:%M:%S UTC")
    time = f"paused at {time}" if view.paused else time
    text.truncate(max(0, width - len(time) - 1), overflow="ellipsis", pad=True)
    text.append(f" {time}", UNEASY if view.paused else FAINT)
    return text


def _state(scene: Scene, width: int, height: int | None) -> list[Text]:
    lines = [_line(("● ", BAD), (shown(fault), BAD)) for fault in scene.faults]
    if height is not None and len(lines) > _MOST_FAULTS:
        more = len(lines) - _MOST_FAULTS + 1
        lines[_MOST_FAULTS - 1 :] = [_line((f"● {more} faults more", BAD))]
    if not lines:
        lines = [_line(("● ", GOOD), ("ready" if len(scene.nodes) == 1 else "all nodes are ready", GOOD))]
    if scene.of_concern:
        concerned = f"{_many(scene.of_concern, 'connection')} of concern"
        lines[-1].append("   " if len(lines[-1]) + len(concerned) + 3 <= width else " ")
        lines[-1].append(concerned, UNEASY)
    return lines


def _overview(scene: Scene, view: View, trends: Trends, width: int, height: int | None) -> list[RenderableType]:
    nodes = None if height is None else min(len(scene.nodes), _MOST_NODES) + 1
    quick = _quickness(scene, width)
    amiss = _amiss(scene)
    graphs = _graphs(trends, width) if width >= 140 and height is not None else []
    rooms = lines = None
    if height is not None and nodes is not None:
        # Two tables, each with its head, and four empty lines.
        lines = max(0, height - nodes - len(quick) - len(amiss) - len(graphs) - 4)
        rooms = max(2, min(lines // 2, len(scene.rooms) + 1))
        lines = max(2, lines - rooms)
    return [
        Text(),
        _nodes(scene, view, width, nodes),
        Text(),
        *quick,
        *amiss,
        *graphs,
        Text(),
        _rooms(scene, view, width, rooms),
        Text(),
        _connections(scene, view, width, lines),
    ]


def _nodes(scene: Scene, view: View, width: int, height: int | None) -> Table:
    columns = (
        Column("NODE", lambda seen: shown(short_name(seen.info.node)), grows=True, left=True),
        Column("state", _node_state, left=True),
        Column("conns", lambda seen: short(seen.info.connections)),
        Column("users", lambda seen: short(seen.info.users)),
        Column("rooms", lambda seen: short(seen.info.rooms)),
        Column("cpu", lambda seen: _graded(seen.load.cpu, _CPU, f"{seen.load.cpu:.0%}")),
        Column("memory", lambda seen: "" if seen.load.memory is None else f"{short(seen.load.memory)}B"),
        Column("in/s", lambda seen: f"{short(seen.load.bytes_in)}B", 100),
        Column("out/s", lambda seen: f"{short(seen.load.bytes_out)}B", 100),
        Column("msg in/s", lambda seen: short(seen.load.messages_in), 140),
        Column("msg out/s", lambda seen: short(seen.load.messages_out), 140),
        Column("cursors/s", lambda seen: short(seen.load.deliveries)),
        Column("ops/s", lambda seen: short(seen.load.operations)),
        Column("errors/s", lambda seen: short(seen.load.errors), 120),
        Column("fan-out", lambda seen: _milliseconds(seen.load.fanout_p99)),
        Column("commit", lambda seen: _milliseconds(seen.load.commit_p99)),
        Column("version", lambda seen: shown(seen.info.version), 160),
    )
    return _table(columns, _sorted(scene.nodes, view, Pane.NODES), width, height)


def _node_state(seen: SeenNode) -> Text:
    if seen.trouble:
        return Text("gone", BAD)
    return Text("faulty", BAD) if seen.info.faults else Text("ready", GOOD)


def _rooms(scene: Scene, view: View, width: int, height: int | None) -> Table:
    columns = (
        Column("ROOM", lambda seen: shown(seen.room.room_id), grows=True, left=True),
        Column("node", lambda seen: shown(short_name(seen.node)), 0 if scene.asked > 1 else 1_000, left=True),
        Column("type", lambda seen: shown(seen.room.type), 100, left=True),
        Column("people", lambda seen: short(seen.room.participants)),
        Column("conns", lambda seen: short(seen.room.connections)),
        Column("moves/s", lambda seen: short(seen.room.cursors)),
        Column("cursors/s", lambda seen: short(seen.room.deliveries)),
        Column("ops/s", lambda seen: short(seen.room.operations)),
        Column("version", lambda seen: str(seen.room.version), 100),
    )
    return _table(columns, _sorted(scene.rooms, view, Pane.ROOMS), width, height)


def _connections(scene: Scene, view: View, width: int, height: int | None) -> Table:
    are_at_several = len({connection.node for connection in scene.connections}) > 1
    columns = (
        Column("CONNECTION", _user, grows=True, left=True),
        Column("concern", _concern, left=True),
        Column("node", lambda seen: shown(short_name(seen.node)), 0 if are_at_several else 1_000, left=True),
        Column("address", lambda seen: shown(seen.address), 90 if are_at_several else 60, most=15, left=True),
        Column("id", lambda seen: shown(seen.connection_id), 180, left=True),
        Column("rooms", lambda seen: shown(", ".join(seen.rooms)), 140, most=24, left=True),
        Column("msg/s", lambda seen: short(seen.metrics.message_rate), 100),
        Column("in/s", lambda seen: f"{short(seen.metrics.bandwidth.inbound)}B", 100),
        Column("out/s", lambda seen: f"{short(seen.metrics.bandwidth.outbound)}B"),
        Column("trip", lambda seen: _milliseconds(seen.metrics.latency)),
        Column("errors/min", lambda seen: short(seen.metrics.error_rate), 120),
        Column("waiting", lambda seen: f"{short(seen.waiting)}B" if seen.waiting else ""),
        Column("behind", lambda seen: f"{seen.behind:.0f} s" if seen.behind >= 1 else "", 100),
        Column("skipped", lambda seen: short(seen.skipped) if seen.skipped else "", 100),
        Column("refused", _refused, most=26, left=True),
    )
    return _table(columns, _sorted(scene.connections, view, Pane.CONNECTIONS), width, height)


def _user(connection: WatchedConnection) -> Text:
    if not connection.user_id:
        return Text("no token yet", FAINT)
    text = Text(shown(connection.user_id))
    if connection.name and connection.name != connection.user_id:
        text.append(f" {shown(connection.name)}", FAINT)
    return text


def _concern(connection: WatchedConnection) -> Cell:
    concern = connection.concern
    return Text(concern.value, _CONCERNS[concern]) if concern else ""


def _refused(connection: WatchedConnection) -> str:
    return ", ".join(f"{shown(limit)} {short(count)}" for limit, count in connection.refusals.items())


def _latencies(scene: Scene, view: View, width: int, height: int | None) -> Table:
    columns = (
        Column("LATENCY", lambda seen: shown(seen.name), grows=True, left=True),
        Column("node", lambda seen: shown(short_name(seen.node)), 0 if scene.asked > 1 else 1_000, left=True),
        Column("a second", lambda seen: short(seen.latency.rate)),
        Column("p50", lambda seen: _milliseconds(seen.latency.p50)),
        Column("p99", lambda seen: _milliseconds(seen.latency.p99)),
    )
    return _table(columns, _sorted(scene.latencies, view, Pane.LATENCIES), width, height)


def _quickness(scene: Scene, width: int) -> list[Text]:
    """How quick each thing is, at the node where it is slowest."""
    slowest: dict[str, SeenLatency] = {}
    for seen in scene.latencies:
        if seen.name not in slowest or slowest[seen.name].latency.p99 < seen.latency.p99:
            slowest[seen.name] = seen
    items = []
    for name, seen in slowest.items():
        item = Text(f"{shown(name)} ")
        item.append_text(_milliseconds(seen.latency.p50))
        item.append("/")
        item.append_text(_milliseconds(seen.latency.p99))
        items.append(item)
    return _flow("LATENCY p50/p99  ", items, width)


def _amiss(scene: Scene) -> list[Text]:
    """What was refused, and which errors were told, per minute."""
    found = [f"{limit} {short(rate)}" for limit, rate in scene.refusals.items()]
    errors = [f"{code} {short(rate)}" for code, rate in scene.errors.items()]
    line = _line(("REFUSED a minute  ", "bold"), (shown(", ".join(found)) or "none", UNEASY if found else GOOD))
    line.append("   ERRORS a minute  ", "bold")
    line.append(shown(", ".join(errors)) or "none", UNEASY if errors else GOOD)
    return [line]


def _graphs(trends: Trends, width: int) -> list[Text]:
    """How some of it has gone of late."""
    share = width // 2 - 28
    named = (
        ("cursors/s", "deliveries", short),
        ("operations/s", "operations", short),
        ("fan-out p99 ms", "fanout", _plain_milliseconds),
        ("commit p99 ms", "commit", _plain_milliseconds),
    )
    lines = [Text(), Text(no_wrap=True), Text(no_wrap=True)]
    for place, (title, name, tell) in enumerate(named):
        values = [*trends.get(name, ())][-share:]
        line = lines[1 + place // 2]
        line.append(f"{title:<15}", "bold")
        line.append(sparkline(values).rjust(share), "cyan")
        line.append(f" {tell(values[-1]) if values else '':<10} ")
    return lines


# --- pieces -----------------------------------------------------------------------------------------------------------


def shown(text: str) -> str:
    """Text from anywhere, in one line and without anything that could drive the terminal."""
    return printable(text.replace("\n", "\\n").replace("\t", "\\t"))


def short(number: float) -> str:
    """A number in at most five characters."""
    if number < 9.95:
        return f"{number:.1f}".removesuffix(".0")
    for unit in ("", "k", "M", "G"):
        if number < 999.5:
            return f"{number:.1f}{unit}" if unit and number < 99.95 else f"{number:.0f}{unit}"
        number /= 1000
    return f"{number:.0f}T"


def sparkline(values: Sequence[float]) -> str:
    """The values as bars, of which the highest is the greatest."""
    most = max(values, default=0.0)
    top = len(_BARS) - 1
    # What is seven times a number, over that number, may be a little more than seven.
    return "".join(_BARS[min(top, math.ceil(top * value / most)) if most else 0] for value in values)


def _plain_milliseconds(value: float) -> str:
    return short(value) if value >= 9.95 else f"{value:.2f}"


def _milliseconds(value: float | None) -> Text:
    if value is None:
        return Text("–", FAINT)
    return _graded(value, _LATENCY, _plain_milliseconds(value))


def _graded(value: float, bounds: tuple[float, float], told: str) -> Text:
    uneasy, bad = bounds
    return Text(told, BAD if value >= bad else UNEASY if value >= uneasy else "")


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _line(*parts: tuple[str, str]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _flow(title: str, items: Sequence[Text], width: int) -> list[Text]:
    """The items one behind the other, in as many lines as that takes."""
    lines = [Text(title, "bold", no_wrap=True)]
    for item in items:
        if lines[-1].cell_len + item.cell_len > width and lines[-1].cell_len > len(title):
            lines.append(Text(" " * len(title), no_wrap=True))
        lines[-1].append_text(Text("", "not bold").append_text(item))
        lines[-1].append("   ")
    if not items:
        lines[-1].append("nothing has happened", FAINT)
    return lines


def _sorted(items: Sequence[Any], view: View, pane: Pane) -> list[Any]:
    return sorted(items, key=view.order(pane)[1])


def _table(columns: Sequence[Column], items: Sequence[Any], width: int, height: int | None) -> Table:
    """The items in lines, as many as fit with the head."""
    fitting = len(items) if height is None else max(0, height - 1)
    there = [column for column in columns if column.wide <= width]
    rows = [[_text(column.cell(item)) for column in there] for item in items[:fitting]]
    widths = [
        max(len(column.title), *(row[place].cell_len for row in rows)) if rows else len(column.title)
        for place, column in enumerate(there)
    ]
    widths = [min(each, column.most or each) for each, column in zip(widths, there, strict=True)]
    free = width - sum(widths) - _GAP * (len(there) - 1)
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for column, natural in zip(there, widths, strict=True):
        table.add_column(
            column.title,
            justify="left" if column.left else "right",
            width=max(_LEAST, natural + min(free, max(0, _USUAL - natural))) if column.grows else natural,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*row)
    return table


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)
