"""A way to one of several TCP ports, which can be cut, become a dead end, or get long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

_CHUNK = 262_144


class Way:
    """Listens on `port`, and leads each connection to the next of the targets that takes it.

    The first one goes to the target that it `begins_at`.
    """

    def __init__(self, targets: Sequence[int], begins_at: int = 0) -> None:
        #: How long (s) everything takes that passes.
        self.delay = 0.0
        self.port = 0
        self._targets = targets
        self._next = begins_at
        self._is_cut = False
        self._passes = asyncio.Event()
        self._passes.set()
        self._writers: set[asyncio.StreamWriter] = set()
        #: On which something was subscribed to, and of those, on which nothing comes back any more.
        self._hearers: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    async def open(self) -> None:
        self._listener = await asyncio.start_server(self._accepted, "127.0.0.1")
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        self.cut()
        self._passes.set()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def cut(self) -> None:
        """All connections end, and none is made."""
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def swallow(self) -> None:
        """Nothing passes, and nobody is told."""
        self._passes.clear()

    def silence(self) -> None:
        """Who has subscribed to something hears nothing any more on that connection, and is not told."""
        self._silent |= self._hearers

    def mend(self) -> None:
        """All is well; what was swallowed arrives, where somebody still waits for it."""
        self._is_cut = False
        self._passes.set()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        self._writers.add(writer)
        try:
            await self._passes.wait()
            if self._is_cut or (target := await self._reach()) is None:
                return
            ends.append(target[1])
            self._writers.add(target[1])
            pumps = [
                asyncio.ensure_future(self._pump(reader, target[1], asks=writer)),
                asyncio.ensure_future(self._pump(target[0], writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            for each in ends:
                for known in (self._writers, self._hearers, self._silent):
                    known.discard(each)
                each.close()

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in self._targets:
            port = self._targets[self._next % len(self._targets)]
            self._next += 1
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asks: asyncio.StreamWriter | None = None
    ) -> None:
        """`asks` is who sends what is read, if that is the one who has connected."""
        passing: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        clock = asyncio.get_running_loop().time

        async def take_in() -> None:
            data = b"."
            while data:
                try:
                    data = await reader.read(_CHUNK)
                except OSError:
                    data = b""
                if asks is not None and b"SUBSCRIBE" in data:
                    self._hearers.add(asks)
                passing.put_nowait((clock() + self.delay, data))

        taking_in = asyncio.ensure_future(take_in())
        try:
            while True:
                due, data = await passing.get()
                await asyncio.sleep(max(0.0, due - clock()))
                await self._passes.wait()
                if not data:
                    return
                if writer not in self._silent:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            return
        finally:
            taking_in.cancel()
