"""What commands print: JSON for programs, tables for people, and nothing that drives a terminal."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from fastcollab.logs import printable


class Listing:
    """Items one below the other: as JSON, an object a line, or as a table. Columns that begin with > have numbers."""

    def __init__(self, *columns: str, json: bool) -> None:
        self._json = json
        self._table = Table(box=box.SIMPLE_HEAD)
        for column in columns:
            self._table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")

    def add(self, item: msgspec.Struct, *cells: object) -> None:
        if self._json:
            print_json(msgspec.to_builtins(item))
        else:
            self._table.add_row(*(printable(str(cell)) for cell in cells))

    def end(self) -> None:
        if not self._json:
            # Into a pipe or a file nothing is broken into lines that suit no terminal.
            width = None if sys.stdout.isatty() else 1_000
            Console(width=width, markup=False, highlight=False, emoji=False).print(self._table)


def print_json(value: Any, *, pretty: bool = False) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 if pretty else None))


def time_text(unix: int) -> str:
    """A Unix time in ms, for people."""
    return datetime.fromtimestamp(unix / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
