"""The Python client when tokens expire and rights change, against a running gateway (rules S8 to S12)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import jwt
import pytest
from tests.server.conftest import SECRET, MakeToken, StartGateway
from tests.server.test_client import until

from fastcollab.client import CollaborativeClient, ReconnectPolicy, Status
from fastcollab.errors import ConnectionClosed, NoPermission

FAST = ReconnectPolicy(base=0.01, cap=0.1)


def token(lives: float, **claims: Any) -> str:
    given = {"sub": "ada", "exp": int(time.time()) + lives, "rooms": {"*": "write"}} | claims
    return jwt.encode(given, SECRET, "HS256")


async def test_tokens_follow_each_other_on_one_connection_S8_S9(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"auth.expiry_notice": 1.5})
    fetched = 0

    def fetch() -> str:
        nonlocal fetched
        fetched += 1
        return token(3)

    began = time.monotonic()
    async with CollaborativeClient(gateway.url, fetch, reconnect=False) as client:
        room = await client.join_room("plans", "text")
        connection_id = client.session.connection_id
        for index in range(12):
            room.insert(0, str(index))
            await room.saved()
            await asyncio.sleep(0.5)
        assert client.session.connection_id == connection_id
        # Each lives for two seconds at least, the last one and a half of which are for renewing it.
        assert 3 <= fetched <= 2 + (time.monotonic() - began) / 0.5


async def test_a_new_connection_has_a_new_token_S8(start_gateway: StartGateway) -> None:
    """The first one cannot be renewed in time."""
    gateway = await start_gateway({"auth.expiry_notice": 0})
    fetched = 0

    def fetch() -> str:
        nonlocal fetched
        fetched += 1
        return token(1 if fetched == 1 else 3600)

    async with CollaborativeClient(gateway.url, fetch, reconnect=FAST) as client:
        room = await client.join_room("plans", "text")
        room.insert(0, "before")
        await room.saved()
        first = client.session.connection_id
        await until(lambda: client.status is Status.CONNECTING)
        room.insert(0, "after ")
        await room.saved()
        assert client.session.connection_id != first
        assert client.session.resumed
        assert room.text == "after before"


async def test_rights_and_revocation_reach_the_program_S11_S12(
    start_gateway: StartGateway, make_token: MakeToken
) -> None:
    gateway = await start_gateway({})
    async with CollaborativeClient(gateway.url, token(3600)) as client:
        room = await client.join_room("plans", "text")
        told: list[Any] = []
        room.on("permission", told.append)
        await client.refresh_token(token(3600, rooms={"plans": "read"}))
        await until(lambda: told == ["read"])
        with pytest.raises(NoPermission):
            await room.submit(["x"])
        await client.refresh_token(token(3600, rooms={}))
        await until(lambda: told == ["read", "none"])
        assert room.status is Status.CLOSED
        await client.refresh_token(token(3600))
        room = await client.join_room("plans", "text")
        await gateway.revoke_user("ada")
        async with asyncio.timeout(5):
            closed = await client.closed
        assert isinstance(closed, ConnectionClosed)
        assert closed.code == 4101
