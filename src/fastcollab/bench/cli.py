"""``fastcollab load``: the load generator on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from fastcollab.bench.connect import LoadError
from fastcollab.bench.load import IdleOptions, LoadOptions, run_idle, run_load
from fastcollab.bench.report import IdleReport, LoadReport
from fastcollab.errors import FastcollabError

if TYPE_CHECKING:
    from fastcollab.bench.replay_report import ReplayReport

#: Options that say what load is made, which a recording says otherwise.
_MADE = ("rooms", "members", "hz", "seconds", "warmup", "burst", "plain", "compression", "idle")
_REPLAYED = ("speed", "copies")


def load(
    context: typer.Context,
    rooms: Annotated[int, typer.Option(min=1, help="Number of rooms.")] = 1,
    members: Annotated[int, typer.Option(min=2, help="Members of each room.")] = 100,
    hz: Annotated[float, typer.Option(help="Cursor updates per second of each member.")] = 60.0,
    seconds: Annotated[float, typer.Option(help="Measured time, after the warm-up.")] = 10.0,
    warmup: Annotated[float, typer.Option(help="Seconds of load before the measured time.")] = 1.0,
    burst: Annotated[bool, typer.Option("--burst", help="All members send at the same moment.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Speak fastcollab.v1, without batched frames.")] = False,
    compression: Annotated[bool, typer.Option("--compression", help="Offer permessage-deflate.")] = False,
    idle: Annotated[int, typer.Option(min=0, help="Weigh so many idle connections instead; 0: do not.")] = 0,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Replay what `fastcollab record` has recorded instead.", show_default=False),
    ] = None,
    speed: Annotated[float, typer.Option(help="Replay so many times as fast.")] = 1.0,
    copies: Annotated[int, typer.Option(min=1, help="Replay in so many rooms at once.")] = 1,
    url: Annotated[
        list[str] | None,
        typer.Option(help="Drive the gateway at this ws:// address; if repeated, rooms span these gateways."),
    ] = None,
    server_pid: Annotated[
        list[int] | None, typer.Option(help="Process of that gateway, for its cost; repeated, they are added up.")
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(envvar="FASTCOLLAB_AUTH__SECRET", help="Secret that signs tokens for these gateways."),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Put a gateway under load, and report deliveries, latency, processor time and memory.

    Without --url a gateway is started for it. The exit status is 1 if an update was lost or anything went
    wrong, or if a document is not the recorded one after a replay.
    """
    urls, pids = url or [], server_pid or []
    target_secret = secret if urls else None
    report: LoadReport | IdleReport | ReplayReport
    try:
        for name in _MADE if replay else _REPLAYED:
            source = context.get_parameter_source(name)
            if source is not None and source.name != "DEFAULT":
                raise ValueError(f"--{name} does not go with --replay" if replay else f"--{name} is for --replay")
        if replay:
            from fastcollab.bench.replay import ReplayOptions, run_replay

            report = run_replay(ReplayOptions(replay, speed, copies, urls=urls, server_pids=pids, secret=target_secret))
        elif idle:
            if max(len(urls), len(pids)) > 1:
                raise ValueError("idle connections are weighed at one gateway")
            one_url, one_pid = next(iter(urls), None), next(iter(pids), None)
            report = run_idle(IdleOptions(idle, one_url, one_pid, target_secret))
        else:
            report = run_load(
                LoadOptions(
                    rooms=rooms,
                    members=members,
                    hz=hz,
                    seconds=seconds,
                    warmup=warmup,
                    burst=burst,
                    plain=plain,
                    compression=compression,
                    urls=urls,
                    server_pids=pids,
                    secret=target_secret,
                )
            )
    except (ValueError, LoadError, FastcollabError, OSError) as error:
        typer.echo(f"fastcollab load: {error}", err=True)
        raise typer.Exit(2) from None
    if json_output:
        typer.echo(report.as_json())
    else:
        Console().print(report.as_table())
    if not report.sound:
        raise typer.Exit(1)
