"""``fastcollab demo``: a dashboard in the browser, on a gateway of its own.

The gateway is a real one, with a random secret, and so is everything that connects to it: the page, which is built
from ``sdk/demo``, and each simulated participant, a ``CollaborativeClient`` on a socket of its own. ``content`` says
what the rooms begin with, ``board`` what may be done to the dashboard, ``people`` and ``writing`` how simulated
participants behave, and ``crowd`` how many there are; ``site`` serves the page, and ``stage`` brings it all together.
"""

import asyncio
import os
import sys
import webbrowser
from typing import Annotated

import typer

from fastcollab._command import fail


def demo(
    participants: Annotated[
        int, typer.Option(min=0, max=200, help="How many simulated participants there are at first.")
    ] = 4,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="TCP port of the page, 0: any free one.", show_default="8080, or the next free one"
        ),
    ] = None,
    engine: Annotated[str, typer.Option(metavar="URL", help="Where documents live (engine.url).")] = "memory://",
    gateways: Annotated[
        int, typer.Option(min=1, max=9, help="Gateways, among which visitors are spread; more than one share a Redis.")
    ] = 1,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after so long.", show_default="run until Ctrl-C")
    ] = None,
    open_page: Annotated[
        bool | None,
        typer.Option("--open/--no-open", help="Open the page in a browser.", show_default="if there is a desktop"),
    ] = None,
) -> None:
    """Run a gateway and a dashboard to try it with: open the page twice, or with simulated participants."""
    import uvloop

    from fastcollab.config import ConfigError
    from fastcollab.demo.stage import Stage, StageError, run
    from fastcollab.errors import StoreError

    def ready(url: str) -> None:
        typer.echo(f"fastcollab demo is at {url}")
        if _has_desktop() if open_page is None else open_page:
            webbrowser.open(url)

    stage = Stage(participants, port, engine, gateways)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(run(stage, seconds, ready))
        except ConfigError as error:
            fail([str(problem) for problem in error.problems])
        except (StageError, StoreError) as error:
            fail([str(error)])


def _has_desktop() -> bool:
    """Whether somebody sits in front of a screen on which a browser can open."""
    has_screen = sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return has_screen and sys.stdout.isatty()
