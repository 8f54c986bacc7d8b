"""A naive cursor relay on picows and uvloop, in Python: each frame goes to the others in the room as it came.

The room is named by the path. The relay prints one line when it accepts connections, "listening on
127.0.0.1:PORT", and ends on SIGTERM.
"""

import asyncio
from collections import defaultdict

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

rooms: defaultdict[bytes, set[WSTransport]] = defaultdict(set)


class Relay(WSListener):
    def __init__(self, room: set[WSTransport]) -> None:
        self._room = room

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._room.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._room.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            payload = frame.get_payload_as_bytes()
            for other in self._room:
                if other is not transport:
                    other.send(WSMsgType.BINARY, payload)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()


def listener(request: WSUpgradeRequest) -> Relay:
    return Relay(rooms[request.path])


async def main() -> None:
    server = await ws_create_server(listener, "127.0.0.1", 0, backlog=1024)
    print(f"listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
