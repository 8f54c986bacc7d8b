"""Starts the workers and what they share, has them live, and ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pickle
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client.metrics_core import Metric

from fastcollab._system import reason
from fastcollab.config import Config
from fastcollab.core.revival import MOST_DEATHS, Revival
from fastcollab.engines.valkey import EmbeddedValkey
from fastcollab.errors import StoreError
from fastcollab.logs import get_logger
from fastcollab.server.admin.branch import Branch
from fastcollab.server.admin.pool import Pool
from fastcollab.server.metrics import of_process
from fastcollab.server.operations import OperationsPort
from fastcollab.serving.plan import CannotServe, worker_config
from fastcollab.serving.pooled_metrics import FAMILIES, Dumped, Workforce, dump, pool
from fastcollab.serving.port import cannot_listen, held_port
from fastcollab.serving.signals import heed_signals

log = get_logger(__name__)

#: How much longer (s) than `server.shutdown_timeout` a worker may take to end before it is killed.
_OVERTIME = 3.0
#: How long (s) a worker has to tell its metrics: less than Prometheus waits.
_ANSWERS = 3.0
#: How long (s) a worker has to do what the admin API is asked for.
_CARRIES_OUT = 10.0
#: What a worker may say at once, in bytes.
_LONGEST_LINE = 16 * 2**20


async def supervise(config: Config, announce: Callable[[str], None]) -> None:
    """Runs as many workers as the configuration says, until this process is told to stop. `announce` is given their
    address when all of them accept connections. Raises :class:`CannotServe`.
    """
    told = asyncio.Event()
    workers: list[Worker] = []

    def renew_certificates() -> None:
        for worker in workers:
            worker.tell(signal.SIGHUP)

    heed_signals(config, told.set, renew_certificates)
    async with AsyncExitStack() as running:
        # Without keys there is no admin API, and no need of a way to that of each worker.
        sockets = _private_directory(running) if config.ops.port is not None and config.ops.api_keys else None
        try:
            port = running.enter_context(held_port(config.server.host, config.server.port))
            if config.ops.port is not None:
                pool = Pool(config, lambda: [each.branch for each in workers if each.is_serving and each.branch])
                operations = OperationsPort(
                    config.ops,
                    faults=lambda: _faults(workers, told.is_set()),
                    metrics=lambda: _metrics(workers),
                    parts=pool.api(),
                )
                await operations.start()
                running.push_async_callback(operations.close)
                log.info("operations are served", url=operations.url)
        except OSError as error:
            raise cannot_listen(error) from error
        engine, ends_for_good = config.engine, []
        if engine.redis is None:
            try:
                server = await EmbeddedValkey.start(engine)
            except StoreError as error:
                raise CannotServe(str(error)) from error
            running.push_async_callback(server.close)
            engine, ends_for_good = server.attached, [server.given_up]
        shared = pickle.dumps(worker_config(config, engine, port))
        workers += [Worker(number + 1, shared, sockets) for number in range(config.server.workers)]

        patience = config.server.shutdown_timeout + _OVERTIME
        running.push_async_callback(lambda: asyncio.gather(*(worker.end(patience) for worker in workers)))
        async with _task(_serve(workers, announce)) as serving, _task(told.wait()) as stopping:
            await asyncio.wait({serving, stopping, *ends_for_good}, return_when=asyncio.FIRST_COMPLETED)
            for end in ends_for_good:
                if end.done():
                    raise CannotServe(end.result())
            if serving.done():
                await serving


def _private_directory(running: AsyncExitStack) -> Path:
    """One that nobody else may enter, as long as we run. (If we are killed, the last worker takes it away.)"""
    try:
        made = tempfile.TemporaryDirectory(prefix="fastcollab-", ignore_cleanup_errors=True)
    except OSError as error:
        raise CannotServe(f"the sockets of the admin API have no place: {reason(error)}") from error
    return Path(running.enter_context(made))


def _faults(workers: Sequence[Worker], stopping: bool) -> list[str]:
    """What keeps them from serving as they should. That one is being started again does not, while there are others:
    nobody is connected to it.
    """
    serving = [worker for worker in workers if worker.is_serving]
    faults = [f"worker {worker.number}: {fault}" for worker in serving for fault in worker.faults]
    if not serving:
        faults.append("there is no worker that serves")
    return [*faults, "the gateway is stopping"] if stopping else faults


async def _metrics(workers: Sequence[Worker]) -> Iterable[Metric]:
    """Those of all workers that answer, and of this process."""
    serving = [worker for worker in workers if worker.is_serving]
    answers = await asyncio.gather(*(worker.metrics() for worker in serving))
    dumped = {str(worker.number): answer for worker, answer in zip(serving, answers, strict=True) if answer}
    force = Workforce(
        serving=len(dumped),
        silent=len(serving) - len(dumped),
        starting=len(workers) - len(serving),
        restarts=sum(worker.restarts for worker in workers),
    )
    pooled = pool({**dumped, "supervisor": dump(of_process())})
    return [*(family.tell(force) for family in FAMILIES), *pooled]


async def _serve(workers: list[Worker], announce: Callable[[str], None]) -> None:
    """Starts the workers, and has them live; ends with :class:`CannotServe`."""
    # What keeps one from starting keeps all of them, and need not be said by all.
    first, *others = workers
    url = await first.start()
    await _together(*(worker.start() for worker in others))
    announce(url)
    await _together(*(worker.keep() for worker in workers))


class Worker:
    """One of the processes, and those that follow it when it has died. `config` is its configuration, as a pickle. If
    there is a directory for `sockets`, its admin API is answered at one there, which `branch` asks.
    """

    def __init__(self, number: int, config: bytes, sockets: Path | None = None) -> None:
        self.number = number
        self._socket = None if sockets is None else sockets / f"{number}.sock"
        self.branch = None if self._socket is None else Branch(self._socket, _CARRIES_OUT)
        self.is_serving = False
        #: How often it was started again.
        self.restarts = 0
        #: What keeps it from serving as it should, in words.
        self.faults: Sequence[str] = ()
        self._config = config
        self._revival = Revival()
        self._process: asyncio.subprocess.Process | None = None
        #: Whoever waits for its metrics, which are empty if it has none.
        self._asked: asyncio.Future[Dumped] | None = None

    async def start(self) -> str:
        """Starts it, and returns its address when it accepts connections; or raises :class:`CannotServe`."""
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "fastcollab.serving.worker", str(self.number)),
            *([] if self._socket is None else [str(self._socket)]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            # What a terminal tells all of its processes, this one hears from us.
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):  # It has ended before it has read all, which is told below.
            process.stdin.write(self._config)
            await process.stdin.drain()
        said = await process.stdout.readline()
        answer: dict[str, Any] = json.loads(said) if said else {}
        if "url" in answer:
            self.is_serving, self.faults = True, ()
            return str(answer["url"])
        status = await process.wait()
        problem = f"worker {self.number} has ended with status {status} while it started"
        raise CannotServe(*answer.get("problems", [problem]))

    async def keep(self) -> None:
        """Has it started again whenever it has ended, until that is of no use: then raises :class:`CannotServe`."""
        clock = asyncio.get_running_loop().time
        why = ""
        while True:
            if not why:
                why = f"status {await self._listen()}"
            wait = self._revival.died(clock())
            if wait is None:
                raise CannotServe(
                    f"worker {self.number} has ended {MOST_DEATHS + 1} times within a minute, at last with {why}"
                )
            log.warning("a worker has ended, and is started again", worker=self.number, why=why, seconds=wait)
            await asyncio.sleep(wait)
            self.restarts += 1
            try:
                await self.start()
                why = ""
            except CannotServe as error:
                why = str(error)

    async def _listen(self) -> int:
        """Hears what it says, until it has ended; returns its status."""
        assert self._process is not None and self._process.stdout is not None, "it has been started"
        async for line in self._process.stdout:
            said = json.loads(line)
            if "metrics" in said:
                self._answered(said["metrics"])
            else:
                self.faults = said["faults"]
        self.is_serving = False
        self._answered([])
        return await self._process.wait()

    async def metrics(self) -> Dumped:
        """Its metrics; none, if it does not answer in time. Who asks while it is asked gets the same answer."""
        assert self._process is not None and self._process.stdin is not None, "it has been started"
        if self._process.stdin.is_closing():
            return []  # it has died, of which its output tells in a moment
        if self._asked is None:
            self._asked = asyncio.get_running_loop().create_future()
            self._process.stdin.write(b"metrics\n")
        try:
            return await asyncio.wait_for(asyncio.shield(self._asked), _ANSWERS)
        except TimeoutError:
            return []

    def _answered(self, metrics: Dumped) -> None:
        if self._asked is not None:
            self._asked.set_result(metrics)
            self._asked = None

    def tell(self, number: signal.Signals) -> None:
        """Sends it the signal, if it is there."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def end(self, patience: float) -> None:
        """Has it drain, and returns when it has ended, after `patience` seconds in any case."""
        self.tell(signal.SIGTERM)
        if self._process is not None:
            try:
                await asyncio.wait_for(self._process.wait(), patience)
            except TimeoutError:
                log.error("a worker does not end, and is killed", worker=self.number)
                self._process.kill()
                await self._process.wait()
        self.is_serving = False
        if self.branch is not None:
            await self.branch.close()


@asynccontextmanager
async def _task(coroutine: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
    """A task that ends with the context."""
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        # It has told whoever waited for it; the loop need not.
        if not task.cancelled():
            task.exception()


async def _together(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """All of them at once; when one fails, the others end."""
    async with AsyncExitStack() as running:
        await asyncio.gather(*[await running.enter_async_context(_task(each)) for each in coroutines])
