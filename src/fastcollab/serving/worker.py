"""``python -m fastcollab.serving.worker NUMBER [SOCKET]``: one worker, run by the supervisor.

It reads its configuration, a pickle, from the standard input: among its arguments others of the machine would see the
secrets in it. On the standard output it says, as a line of JSON each, ``{"url": …}`` when it accepts connections, or
``{"problems": […]}``, and from then on ``{"faults": […]}`` whenever something begins or ceases to keep it from serving
as it should. It answers each line ``metrics`` of the standard input with ``{"metrics": […]}``. It does not wait for the
supervisor to read. Its admin API is answered at the socket, if it is given one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import shutil
import signal
import sys
from pathlib import Path
from typing import TextIO

import structlog
import uvloop

from fastcollab.config import Config
from fastcollab.logs import configure_logging
from fastcollab.server.gateway import Gateway
from fastcollab.serving.plan import CannotServe
from fastcollab.serving.pooled_metrics import dump
from fastcollab.serving.process import run_gateway

#: How often (s) it looks what is wrong.
_LOOKS = 0.5


def main() -> None:
    config: Config = pickle.load(sys.stdin.buffer)
    api_socket = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    structlog.contextvars.bind_contextvars(worker=int(sys.argv[1]))
    configure_logging(config)
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # Whatever else is printed here is no answer.

        def say(**what: object) -> None:
            with contextlib.suppress(OSError):  # There is no supervisor any more, which is noticed otherwise.
                print(json.dumps(what), file=answers, flush=True)

        async def run() -> None:
            conversing: list[asyncio.Task[None]] = []

            def announce(gateway: Gateway) -> None:
                say(url=gateway.url)
                conversing.append(asyncio.create_task(_converse(gateway, answers, api_socket)))

            await run_gateway(config, announce, reuse_port=True, api_socket=api_socket)

        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(run())
        except CannotServe as error:
            say(problems=error.lines)
            sys.exit(1)


async def _converse(gateway: Gateway, answers: TextIO, api_socket: Path | None) -> None:
    """Tells the supervisor what it wants to know, as long as there is one."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_write_pipe(asyncio.Protocol, answers)

    def say(**what: object) -> None:
        transport.write(json.dumps(what).encode() + b"\n")

    def hear() -> None:
        if not (heard := os.read(0, 4096)):
            _supervisor_has_ended(api_socket)
        for _ in range(heard.count(b"\n")):
            say(metrics=dump(gateway.metrics()))

    loop.add_reader(0, hear)
    said: list[str] = []
    try:
        while True:
            if (faults := list(gateway.faults)) != said:
                say(faults=faults)
                said = faults
            await asyncio.sleep(_LOOKS)
    finally:
        transport.close()


def _supervisor_has_ended(api_socket: Path | None) -> None:
    if api_socket is not None:
        # Nobody asks there any more, and whose directory it was may have had no time to take it away.
        shutil.rmtree(api_socket.parent, ignore_errors=True)
    asyncio.get_running_loop().remove_reader(0)
    # As a signal, of which the second ends the process at once: that of a supervisor that does not wait any longer.
    signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    main()
