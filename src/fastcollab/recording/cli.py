"""``fastcollab record``: a room's traffic, into a file that ``fastcollab load --replay`` plays."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastcollab._command import ConfigOption, fail, load_config
from fastcollab._system import reason

if TYPE_CHECKING:
    from fastcollab.recording.recorder import Summary


def record(
    room: Annotated[str, typer.Argument(metavar="ROOM", help="The room's id.")],
    url: Annotated[str, typer.Option(help="The gateway's address.")] = "ws://localhost:8080/ws",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="FASTCOLLAB_TOKEN",
            help="Token of a user who may read the room.",
            show_default="signed with the secret of the configuration",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A new file; with .gz it is packed.", show_default="recording-TIME.jsonl.gz"),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after so long.", show_default="record until Ctrl-C")
    ] = None,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Leave out names and data, and mask texts with letters.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Record what happens in a room, as one of its participants, who is seen there and says nothing.

    The file has in it who took part and what they wrote: keep it like the documents themselves, or have it
    --anonymous. If recording ends before its time, the exit status is 1, and the file is good up to there.
    """
    import uvloop

    from fastcollab.errors import FastcollabError
    from fastcollab.logs import printable
    from fastcollab.recording.file import VERSION, Header, RecordingWriter
    from fastcollab.recording.recorder import Recorder

    source = token or _signer(config)
    path = output or Path(time.strftime("recording-%Y%m%d-%H%M%S.jsonl.gz"))
    header = Header(VERSION, "" if anonymous else room, int(time.time() * 1000), anonymous)

    async def run(writer: RecordingWriter) -> Summary:
        recorder = Recorder(url, source, room, writer, anonymous=anonymous)
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            await recorder.run(stop, seconds, lambda: typer.echo(f"recording room {room!r} into {path}", err=True))
        except TimeoutError:
            problems.append(f"{url} does not answer")
        except OSError as error:
            problems.append(f"no connection to {url}: {reason(error)}")
        except (FastcollabError, ValueError) as error:
            problems.append(printable(str(error)))
        return recorder.summary

    problems: list[str] = []
    try:
        with RecordingWriter(path, header) as writer, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            summary = runner.run(run(writer))
        if not summary.lines:
            path.unlink()  # the room was never joined
    except FastcollabError as error:
        fail([str(error)])
    if summary.lines:
        typer.echo(f"{path}: {_described(summary)}, {writer.size:,} bytes")
    if problems:
        fail(problems)


def _signer(config: Path | None) -> Callable[[], str]:
    """Signs tokens of a user who may read every room, so that a recording may last longer than one of them."""
    loaded = load_config(config, needs_key=True)
    from fastcollab.tokens import sign_token

    def sign() -> str:
        return sign_token(loaded, "recorder", rooms={"*": "read"}, name="Recorder")

    try:
        sign()
    except ValueError as error:
        fail([f"--token is needed: {error}"])
    return sign


def _described(summary: Summary) -> str:
    counts = {
        "users": len(summary.users),
        "operations": summary.lines["Operation"],
        "cursors": summary.cursors,
        "presence updates": summary.lines["Presence"],
        "events": summary.lines["Event"],
    }
    if gaps := summary.lines["Gap"]:
        counts["gaps"] = gaps
    return f"{summary.seconds:.1f} s, " + ", ".join(f"{count:,} {name}" for name, count in counts.items())
