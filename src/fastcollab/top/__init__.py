"""``fastcollab top``: what goes on in gateways, live in a terminal.

It asks the admin API of one gateway, or of several, once a second, and draws what they tell: nodes with their faults
and load, latencies, what is refused, the busiest rooms, and connections with what is amiss with them. ``source`` asks
and says why there is no answer, ``scene`` puts answers together, ``view`` is what of it is looked at and how keys
change that, ``picture`` draws it, and ``watch`` goes on until somebody presses q.

It is drawn with rich, which is there for the other commands: a screen that is drawn anew once a second, and some keys,
do not need a toolkit for applications, and ``--once`` prints the same picture into a pipe.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from fastcollab._command import ConfigOption, fail, load_config
from fastcollab._system import reason

#: Where a gateway tells what goes on, if nothing else is said.
DEFAULT_URL = "http://127.0.0.1:8081"


def top(
    url: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Operations port of a gateway; may be repeated.", show_default=DEFAULT_URL),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File with a key to the admin API.", show_default="the first of ops.api_keys"
        ),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between two questions.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one picture, and end.")] = False,
    config: ConfigOption = None,
) -> None:
    """Watch what goes on in gateways: nodes, rooms, rates, latencies, and connections that need attention."""
    from rich.console import Console

    from fastcollab.top.source import Unanswered, check_url
    from fastcollab.top.watch import print_once, watch

    urls = list(dict.fromkeys(url or [DEFAULT_URL]))
    try:
        for each in urls:
            check_url(each)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--url") from None
    key = _key(key_file, config)
    console = Console(highlight=False, emoji=False)
    if not (once or (console.is_terminal and sys.stdin.isatty())):
        fail(["top needs a terminal to draw on; --once prints one picture"])
    try:
        asyncio.run(print_once(urls, key, console) if once else watch(urls, key, interval, console))
    except Unanswered as error:
        fail([str(error)])
    except KeyboardInterrupt:
        pass


def _key(file: Path | None, config: Path | None) -> str:
    if file is None:
        keys = load_config(config).ops.named_keys()
        if not keys:
            fail(["no key to the admin API: --key-file names a file with one, or FASTCOLLAB_OPS__API_KEYS has it"])
        return keys[0][1]
    try:
        words = file.read_text(encoding="ascii").split()
    except OSError as error:
        fail([f"{file} cannot be read: {reason(error)}"])
    except UnicodeError:
        words = []
    if len(words) != 1:
        fail([f"{file} has to have one key in it, and nothing else"])
    return words[0].rpartition(":")[2]
