"""A naive cursor relay on the `websockets` package: each frame goes to the others in the room as it came.

The room is named by the path. Compression is off: cursors do not shrink. The relay prints one line when it
accepts connections, "listening on 127.0.0.1:PORT", and ends on SIGTERM.
"""

import asyncio
from collections import defaultdict

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

rooms: defaultdict[str, set[ServerConnection]] = defaultdict(set)


async def relay(connection: ServerConnection) -> None:
    assert connection.request is not None
    room = rooms[connection.request.path]
    room.add(connection)
    try:
        async for frame in connection:
            broadcast(room - {connection}, frame)
    except ConnectionClosed:
        pass
    finally:
        room.discard(connection)


async def main() -> None:
    async with serve(relay, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=1024) as server:
        print(f"listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
