"""Attacks at the door: handshakes, tokens, and being somebody else."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import random
import socket
import struct
import time
import uuid
from urllib.parse import urlsplit

from tests.attacks.target import Target, attack
from tests.server.raw_client import BINARY, RawClient, frame, upgrade_request

_OF_A_WAVE = 50


def _forged(header: dict[str, object], claims: dict[str, object], key: bytes = b"") -> str:
    """A token that is put together by hand, since no library would sign it."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signed = b".".join(parts)
    signature = hmac.digest(key, signed, hashlib.sha256) if key else b""
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def _claims(user: str = "admin") -> dict[str, object]:
    return {"sub": user, "exp": int(time.time()) + 3600, "rooms": {"*": "admin"}}


@attack("1001")
async def unsigned_tokens(target: Target) -> None:
    for name in ("none", "None", "nOnE"):
        await target.turned_away(_forged({"alg": name, "typ": "JWT"}, _claims()))


@attack("1001", public_key=True)
async def public_key_as_a_secret(target: Target) -> None:
    for algorithm in ("HS256", "HS384", "HS512"):
        await target.turned_away(_forged({"alg": algorithm, "typ": "JWT"}, _claims(), target.known.encode()))


@attack("1001", public_key=True)
async def key_ids_that_inject(target: Target) -> None:
    for kid in ("../../../../dev/null", "' UNION SELECT 'key", "\0", "x" * 10_000, "http://127.0.0.1:1/", "${jndi:x}"):
        header = {"alg": "RS256", "typ": "JWT", "kid": kid, "jku": "http://127.0.0.1:1/keys"}
        await target.turned_away(_forged(header, _claims(), b"key"))


@attack("1001")
async def expired_tokens(target: Target) -> None:
    await target.turned_away(target.token("late", ttl=-1))


@attack("1001", auth__audience=["fastcollab"])
async def tokens_for_another_audience(target: Target) -> None:
    await target.turned_away(target.token("lost", aud="the intranet"))
    await target.turned_away(target.token("lost"), Origin="http://elsewhere.example")


@attack("403", client__allowed_origins=["https://app.example.com"])
async def foreign_origins(target: Target) -> None:
    for origin in ("https://evil.example", "https://app.example.com.evil.example", "null", "http://app.example.com"):
        assert await target.status({"Origin": origin, "Authorization": f"Bearer {target.token('victim')}"}) == 403


@attack("1001", auth__expiry_notice=0)
async def tokens_that_expire_in_mid_session(target: Target) -> None:
    """The connection ends, however busy it is."""
    async with await target.enter(str(uuid.uuid4()), "expiring", ttl=1.5) as client:
        client.send_message("event", {"name": "still here"})
        details = await client.refused(1001)
        assert details["reason"] == "expired", details
        await client.closed(4101)
    target.met["1001"] += 1


@attack("1001")
async def tokens_that_are_revoked_in_mid_session(target: Target) -> None:
    user = f"revoked-{uuid.uuid4()}"
    async with await target.enter(user, "revoking") as client:
        token = target.token(user)
        await target.revoke(user)
        details = await client.refused(1001)
        assert details["reason"] == "revoked", details
        await client.closed(4101)
    await target.turned_away(token)


@attack("1001")
async def being_somebody_else(target: Target) -> None:
    """In a frame, in `connect`, and by taking up a connection."""
    room = str(uuid.uuid4())
    number = random.randrange(2, 2**31)
    mine, yours = str(number), str(number + 1)
    async with await target.enter(yours, room) as victim, await target.enter(mine, room) as attacker:
        attacker.send(frame(BINARY, struct.pack("!HIffI", 1, number + 1, 1.0, 2.0, 3)))
        while (message := await victim.message())["type"] not in ("presence_update", "batch"):
            pass
        update = message["payload"]["messages"][0] if message["type"] == "batch" else message
        assert update["payload"]["userId"] == mine, update
        attacker.send_message("connect", {"token": target.token(yours), "deviceId": "x", "clientVersion": "x"})
        await attacker.refused(1001)
        await attacker.answers()
        await victim.answers()
    async with await target.enter(yours) as victim:
        victim.send_message("connect", {"token": "", "deviceId": "x", "clientVersion": "x"})
        while (message := await victim.message())["type"] != "connected":
            pass
        resume = f"fastcollab.v1, fastcollab.resume.{message['payload']['connectionId']}"
        async with await RawClient.dial(target.url) as attacker:
            headers = {"Authorization": f"Bearer {target.token(mine)}", "Sec-WebSocket-Protocol": resume}
            await attacker.upgrade(target.url, None, headers)
            assert (await attacker.message())["payload"]["resumed"] is False
        await victim.answers()
    target.met["1001"] += 1


@attack("slow", at_once=100, server__handshake_timeout=0.5)
async def slow_handshakes(target: Target) -> None:
    """A byte now and then does not buy time."""
    async with await RawClient.dial(target.url) as client:
        end = asyncio.create_task(client.everything())
        for byte in upgrade_request(target.url)[:-1]:
            client.send(bytes([byte]))
            await asyncio.wait([end], timeout=0.1)
            if end.done():
                break
        assert b" 101 " not in await end
    target.met["slow"] += 1


@attack("431", at_once=20)
async def endless_headers(target: Target) -> None:
    async with await RawClient.dial(target.url) as client:
        client.send(upgrade_request(target.url)[:-2] + b"X-Filler: " + b"x" * 40_000)
        assert (await client.response()).status == 431
    target.met["431"] += 1


@attack("vanished", at_once=1, limits__connection_rate=0)
async def connections_that_vanish(target: Target) -> None:
    """Before, within and after the handshake, politely and by reset."""
    parts = urlsplit(target.url)
    loop = asyncio.get_running_loop()
    authorized = upgrade_request(target.url, {"Authorization": f"Bearer {target.token('ghost', ttl=3600)}"})
    for _ in range(_OF_A_WAVE):
        end = socket.socket()
        end.setblocking(False)
        try:
            await loop.sock_connect(end, (parts.hostname, parts.port))
            said = random.choice((b"", authorized[: len(authorized) // 2], authorized, authorized + b"\x81"))
            await loop.sock_sendall(end, said)
            if random.random() < 0.5:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        finally:
            end.close()
    target.met["vanished"] += _OF_A_WAVE


@attack("429", limits__connection_rate=50)
async def attempts_from_one_address(target: Target) -> None:
    for _ in range(_OF_A_WAVE):
        assert await target.status() in (101, 429)


@attack("1002")
async def more_connections_than_a_user_may_have(target: Target) -> None:
    token = target.token("crowd")
    clients = [await RawClient.dial(target.url) for _ in range(8)]
    try:
        for client in clients:
            await client.upgrade(target.url, None, {"Authorization": f"Bearer {token}"})
        refused = 0
        for client in clients:
            if (message := await client.message())["type"] == "error":
                assert message["payload"]["code"] == 1002, message
                refused += 1
        assert refused >= 3
        target.met["1002"] += refused
    finally:
        for client in clients:
            client.abort()


@attack("1001", "sanitised")
async def script_in_names_and_colours(target: Target) -> None:
    script = "<script>alert(1)</script>"
    await target.turned_away(target.token("painter", color=f"red{script}"))
    room = str(uuid.uuid4())
    name = f"Eve{script}<img src=x onerror=alert(1)>"
    async with (
        await target.enter(f"watcher of {room}", room) as watcher,
        await target.enter(f"eve in {room}", room, name=name) as eve,
    ):
        while (message := await watcher.message())["type"] != "user_joined":
            pass
        shown = message["payload"]["participant"]["name"]
        assert shown.startswith("Eve"), shown
        assert "<" not in shown, shown
        assert "onerror" not in shown, shown
        eve.send_message("operation", {"operation": [script], "version": 0})
        while (message := await watcher.message())["type"] != "operation_broadcast":
            pass
        assert message["payload"]["operation"] == [script], "a document is never altered"
    target.met["sanitised"] += 1
