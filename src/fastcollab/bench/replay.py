"""Replays a recording against a gateway: what its users did, at the times when they did it, and a report.

`run_replay` starts a gateway of its own, or drives those that are running, and plays the recording in as many rooms at
once as it is told, each with users and a document of its own. The order of a run:

1. one connection is opened for each user of each room;
2. each room is made what it was when the recording began: its document, and who is there;
3. measured time: all cues of the script are played, cursors by the clock, and the plot in its order (`script`);
4. the clock runs on until what was sent last has arrived, and the documents are compared with the recorded one.

An operation is sent when its time has come and the one before it is acknowledged, whoever sends it. So the gateway
commits them in the recorded order, and each document must end as the recorded one. A replay that falls behind, because
the gateway does or because it has to, shows it in a histogram (``lateness``); what it does not show is how a gateway
commits operations that come in together, since they do not.

The rooms are not played in step, but each a part of a tick later than the one before: many rooms whose cursors come in
the same moment would be a load that no real rooms make.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from fastcollab.bench.connect import LoadError
from fastcollab.bench.cost import CostMeter
from fastcollab.bench.performer import SUBPROTOCOL, Performer, Tally
from fastcollab.bench.replay_report import OperationsReport, ReplayReport
from fastcollab.bench.report import Percentiles
from fastcollab.bench.script import Script, load_script
from fastcollab.bench.server import ConfigSections, Cores, Server, gateway, pinned, raise_file_limit
from fastcollab.bench.stage import Stage
from fastcollab.errors import FastcollabError

#: Times in frames are microseconds in 32 bits, from the start.
MAX_SECONDS = 4200.0
MAX_CONNECTIONS = 20_000

_TICK = 1 / 60
_AT_ONCE = 64  # connections that are opened at the same time


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What `run_replay` does. ValueError, naming the field, if a value makes no sense.

    `recording`
        the file.
    `speed`
        how many times as fast as it was recorded.
    `copies`
        in how many rooms at once.
    `drain`
        the longest wait, in seconds, for what was sent last.
    `urls`, `server_pids`, `secret`
        drive gateways that are running, as in `LoadOptions`.
    `config`
        settings of the gateway that is started, by section.
    """

    recording: Path
    speed: float = 1.0
    copies: int = 1
    drain: float = 3.0
    urls: Sequence[str] = ()
    server_pids: Sequence[int] = ()
    secret: str | None = None
    config: ConfigSections = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.speed <= 1000:
            raise ValueError(f"speed: above 0 and at most 1000, not {self.speed:g}")
        if self.copies < 1:
            raise ValueError(f"copies: at least 1, not {self.copies}")
        if not self.drain >= 0:
            raise ValueError(f"drain: not below 0, as {self.drain:g} is")
        if self.urls and self.secret is None:
            raise ValueError("secret: tokens for the gateway at the url have to be signed")


def run_replay(options: ReplayOptions) -> ReplayReport:
    """Replays a recording as `options` say.

    RecordingError for a file that is none, ValueError for one that is too much to replay like this, and LoadError if
    the gateway cannot be started, reached, or be given the document.
    """
    script = load_script(options.recording)
    connections = options.copies * len(script.actors)
    if connections > MAX_CONNECTIONS:
        raise ValueError(f"copies: {connections} connections are more than {MAX_CONNECTIONS}")
    if script.seconds / options.speed > MAX_SECONDS:
        raise ValueError(f"speed: a replay takes at most {MAX_SECONDS:g} s, not {script.seconds / options.speed:.0f}")
    raise_file_limit(connections + 256)
    cores = Cores.available()
    with ExitStack() as cleanup:
        if options.urls:
            servers = [Server.at(url, None, options.secret) for url in options.urls]
            pids = options.server_pids
        else:
            servers = [cleanup.enter_context(gateway(_config(options, script), core=cores.server))]
            pids = [server.pid for server in servers if server.pid is not None]
        cleanup.enter_context(pinned(cores.generator))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_replay(options, script, servers, pids))


def _config(options: ReplayOptions, script: Script) -> ConfigSections:
    """Settings that let through what was let through when it was recorded, so many times as fast."""
    needed: dict[str, dict[str, Any]] = {
        "limits": {
            "cursor_updates": math.ceil(60 * max(1.0, options.speed)),
            "operations": 1_000_000,
            "messages": 1_000_000,
        },
        "rooms": {"max_participants": max(500, len(script.actors))},
    }
    for section, settings in options.config.items():
        needed.setdefault(section, {}).update(settings)
    return needed


async def _replay(
    options: ReplayOptions, script: Script, servers: Sequence[Server], pids: Sequence[int]
) -> ReplayReport:
    tally = Tally()
    run = secrets.token_hex(4)
    stages = [Stage(script, f"replay-{run}-{copy}", copy, servers, tally) for copy in range(options.copies)]
    async with AsyncExitStack() as cleanup:
        await _connect([each for stage in stages for each in stage.performers], cleanup)
        await asyncio.gather(*(stage.set() for stage in stages))
        tally.begin()
        meter = CostMeter(pids) if pids else None
        own_cpu, began = time.process_time(), time.monotonic()
        starts = [began + _TICK * copy / options.copies for copy in range(options.copies)]
        await asyncio.gather(*(stage.play(at, options.speed) for stage, at in zip(stages, starts, strict=True)))
        drained = await _drain(stages, options.drain)
        seconds, own_cpu = time.monotonic() - began, time.process_time() - own_cpu
        deliveries = sum(stage.audience.delivered for stage in stages)
        cost = meter.read(seconds, deliveries) if meter is not None else None
        lost = [stage.audience.missing + stage.audience.lacking() for stage in stages]
        missing = [stage.missing_operations for stage in stages]
        differ = await asyncio.gather(*(stage.differs() for stage in stages))
        audiences = [stage.audience for stage in stages]
        return ReplayReport(
            recording=str(options.recording),
            complete=script.complete,
            gaps=script.gaps,
            copies=options.copies,
            users=len(script.actors),
            speed=options.speed,
            nodes=len(servers),
            protocol=SUBPROTOCOL,
            seconds=seconds,
            drain_seconds=drained,
            deliveries=deliveries,
            deliveries_per_second=deliveries / seconds,
            latency_ms=Percentiles.of(tally.latency),
            updates_sent=sum(each.sent for each in audiences),
            updates_blocked=tally.blocked,
            coalesced_or_lost=sum(each.expected for each in audiences) - deliveries,
            finals_missing=sum(lost),
            stale=sum(each.stale for each in audiences),
            foreign=sum(each.foreign for each in audiences),
            malformed=sum(each.malformed for each in audiences),
            operations=OperationsReport(
                recorded=script.operations * options.copies,
                acknowledged=sum(stage.written for stage in stages),
                unsent=sum(stage.unsent for stage in stages),
                retried=tally.retried,
                transformed_then=script.transformed_then * options.copies,
                transformed_now=script.transformed_now * options.copies,
                ack_latency_ms=Percentiles.of(tally.ack_latency),
                broadcasts=tally.broadcasts,
                broadcast_latency_ms=Percentiles.of(tally.broadcast_latency),
                missing=sum(missing),
                version_gaps=tally.version_gaps,
                documents_differ=sum(differ),
            ),
            disconnects=tally.disconnects,
            close_codes=dict(tally.close_codes),
            error_messages=tally.error_messages,
            errors=tally.errors,
            lateness_ms=Percentiles.of(tally.lateness),
            generator_cpu_share=own_cpu / seconds,
            received_bytes=sum(each.received_bytes for stage in stages for each in stage.performers),
            server=cost,
        )


async def _connect(performers: Sequence[Performer], cleanup: AsyncExitStack) -> None:
    """Opens all connections, some at a time; `cleanup` closes them. LoadError if one is refused."""
    for at in range(0, len(performers), _AT_ONCE):
        group = performers[at : at + _AT_ONCE]
        for performer in group:
            cleanup.push_async_callback(performer.go)
        try:
            await asyncio.gather(*(performer.connect() for performer in group))
        except TimeoutError:
            raise LoadError("the gateway does not answer") from None
        except FastcollabError as error:
            raise LoadError(f"a connection was refused: {error}") from None


async def _drain(stages: Sequence[Stage], longest: float) -> float:
    """Waits until all has arrived everywhere, or for the longest time. Returns how long that took, in seconds."""
    began = time.monotonic()
    while time.monotonic() - began < longest and not all(stage.has_arrived for stage in stages):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    return time.monotonic() - began
