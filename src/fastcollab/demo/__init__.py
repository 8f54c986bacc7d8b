"""``fastcollab demo``: a gateway with people in it, to look at and to connect to.

The gateway is a real one, with a random secret, and so are the connections: each participant is a
``CollaborativeClient`` on a socket of its own. ``people`` says how they move and write, ``stage`` brings them and the
gateway together, ``view`` shows in the terminal what one more client, the spectator, receives.
"""

import asyncio
import sys
from typing import Annotated

import typer


def demo(
    participants: Annotated[int, typer.Option(min=1, max=200, help="How many simulated participants.")] = 12,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after so long.", show_default="run until Ctrl-C")
    ] = None,
    room: Annotated[str, typer.Option(help="The room that they meet in.")] = "demo",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="TCP port, 0: any free one.", show_default="8080, or the next free one"),
    ] = None,
    view: Annotated[
        bool | None,
        typer.Option("--view/--no-view", help="Draw the room.", show_default="if the output is a terminal"),
    ] = None,
) -> None:
    """Run a gateway with simulated participants, who move their cursors and write a text together."""
    import uvloop

    from fastcollab.demo.stage import PortUnavailableError, Stage, run

    stage = Stage(participants, room, port)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            converged = runner.run(run(stage, seconds, sys.stdout.isatty() if view is None else view))
        except PortUnavailableError as error:
            typer.echo(f"fastcollab: {error}", err=True)
            raise typer.Exit(1) from None
    if not converged:
        raise typer.Exit(1)
