"""The Python client with compression, against a gateway and against one that breaks the rules."""

from __future__ import annotations

import asyncio

import pytest
from tests.server.clients import StartGateway
from tests.server.compressed import bomb, noise, server_frame
from tests.server.conftest import GENEROUS, MakeToken
from tests.server.raw_client import CONTINUATION, TEXT
from websockets.utils import accept_key

from fastcollab.client import CollaborativeClient
from fastcollab.errors import ConnectionClosed


@pytest.mark.parametrize("history", [False, True])
async def test_the_python_client_Z1_Z6(start_gateway: StartGateway, make_token: MakeToken, history: bool) -> None:
    gateway = await start_gateway({**GENEROUS, "compression.server_context_takeover": history})
    async with (
        CollaborativeClient(gateway.url, make_token("ada"), compression=True) as ada,
        CollaborativeClient(gateway.url, make_token("bob"), compression=True) as bob,
        CollaborativeClient(gateway.url, make_token("eve")) as eve,
    ):
        rooms = [await client.join_room("r", "text") for client in (ada, bob, eve)]
        for index in range(30):
            rooms[index % 3].insert(0, noise(3000, index))
            await rooms[index % 3].saved()
        async with asyncio.timeout(10):
            while len({room.document.version for room in rooms}) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        assert {room.text for room in rooms} == {"".join(noise(3000, index) for index in range(29, -1, -1))}
        again = await CollaborativeClient(gateway.url, make_token("cyd"), compression=True).__aenter__()
        assert (await again.join_room("r", "text")).text == rooms[0].text
        await again.disconnect()


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([server_frame(TEXT, b"\xff\xff")], 1007),
        ([server_frame(TEXT, bomb(2 << 20))], 1009),
        ([server_frame(TEXT, b"\0", fin=False), server_frame(CONTINUATION, b"\0")], 1002),
    ],
)
async def test_a_gateway_that_breaks_the_rules_Z3_Z4_Z5(parts: list[bytes], code: int) -> None:
    """The client closes, and says why."""
    seen: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert "permessage-deflate" in request
        key = next(
            line.split(": ")[1] for line in request.split("\r\n") if line.lower().startswith("sec-websocket-key")
        )
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_key(key)}",
            "Sec-WebSocket-Protocol: fastcollab.v1.batch",
            "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode() + b"".join(parts))
        data = await reader.readexactly(8)
        seen.set_result(bytes(byte ^ data[2 + index % 4] for index, byte in enumerate(data[6:8])))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        client_ = CollaborativeClient(url, "token", compression=True, reconnect=False, max_message_bytes=1 << 20)
        with pytest.raises(ConnectionClosed):
            await client_.connect()
        assert int.from_bytes(await asyncio.wait_for(seen, 5), "big") == code
