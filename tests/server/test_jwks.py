"""Keys from an address, over real sockets: rotation, outage, floods of unknown key ids (rule S13)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from tests.server.clients import Clients
from tests.server.conftest import StartGateway
from tests.server.spec_client import SpecClient
from tests.server.spec_shapes import INVALID_TOKEN

from fastcollab import Gateway

SERVICE_UNAVAILABLE = 5002

FAST = {
    "auth.algorithms": ["ES256"],
    "auth.secret": None,
    "auth.jwks_refresh_interval": 1,
    "auth.jwks_max_age": 3600,
    "auth.jwks_min_interval": 0.3,
}
#: In which nothing is fetched but at the start and when somebody asks for a key.
QUIET = FAST | {"auth.jwks_refresh_interval": 3600}


class Issuer:
    """Who signs tokens, with a server that publishes the keys; `answers` may say something else instead."""

    def __init__(self) -> None:
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.fetched: list[float] = []
        self.paths: set[str] = set()
        self.answer: Callable[[], web.StreamResponse] | None = None
        self.delay = 0.0
        self.url = ""
        self.rotate("first")

    def rotate(self, *names: str) -> None:
        self.keys = {name: self.keys.get(name) or ec.generate_private_key(ec.SECP256R1()) for name in names}

    def token(self, name: str, user: str = "alice", *, key: ec.EllipticCurvePrivateKey | None = None) -> str:
        claims = {"sub": user, "exp": time.time() + 3600}
        return jwt.encode(claims, key or self.keys[name], "ES256", headers={"kid": name})

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.fetched.append(time.monotonic())
        self.paths.add(request.raw_path)
        await asyncio.sleep(self.delay)
        if self.answer is not None:
            return self.answer()
        keys = [
            ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": name, "use": "sig"}
            for name, key in self.keys.items()
        ]
        return web.json_response({"keys": keys})


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    app = web.Application()
    app.router.add_get("/{anything:.*}", issuer.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/keys.json"
    yield issuer
    await runner.cleanup()


async def started(start: StartGateway, issuer: Issuer, settings: dict[str, Any] = FAST) -> Gateway:
    return await start({**settings, "auth.jwks_url": issuer.url})


async def accepted(gateway: Gateway, clients: Clients, token: str) -> SpecClient:
    client = await clients.open(gateway, header_token=token)
    await client.await_connected()
    return client


async def refused(gateway: Gateway, clients: Clients, token: str) -> dict[str, Any]:
    """What is told to a client whose connection is closed because of its token: the error."""
    client = await clients.open(gateway, header_token=token)
    error = (await client.expect("error")).payload
    assert error["recoverable"] is False
    await client.closed(4000 + error["code"] // 1000 * 100 + error["code"] % 1000)
    return error


async def until(condition: Callable[[], bool], within: float = 5.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.01)


async def test_keys_are_fetched_once_for_many_tokens_S13(
    start_gateway: StartGateway, clients: Clients, issuer: Issuer
) -> None:
    gateway = await started(start_gateway, issuer, QUIET)
    for user in ("alice", "bob", "carol"):
        await accepted(gateway, clients, issuer.token("first", user))
    assert len(issuer.fetched) == 1


async def test_a_new_key_is_found_when_it_is_first_used_S13(
    start_gateway: StartGateway, clients: Clients, issuer: Issuer
) -> None:
    gateway = await started(start_gateway, issuer, QUIET)
    await asyncio.sleep(0.35)
    issuer.rotate("first", "second")
    issuer.delay = 0.1
    began = len(issuer.fetched)
    # Many come with it at once, and all wait for the same.
    await asyncio.gather(*(accepted(gateway, clients, issuer.token("second", f"user {i}")) for i in range(20)))
    assert len(issuer.fetched) == began + 1
    await accepted(gateway, clients, issuer.token("first"))


async def test_a_key_that_was_withdrawn_is_dropped_S13(
    start_gateway: StartGateway, clients: Clients, issuer: Issuer
) -> None:
    gateway = await started(start_gateway, issuer)
    old = issuer.token("first")
    await accepted(gateway, clients, old)
    issuer.rotate("second")
    fetches = len(issuer.fetched)
    await until(lambda: len(issuer.fetched) > fetches)
    await asyncio.sleep(0.4)
    error = await refused(gateway, clients, old)
    assert (error["code"], error["details"]["reason"]) == (INVALID_TOKEN, "key")
    await accepted(gateway, clients, issuer.token("second"))


async def test_a_flood_of_unknown_keys_is_not_passed_on_S13(
    start_gateway: StartGateway, clients: Clients, issuer: Issuer
) -> None:
    gateway = await started(start_gateway, issuer, QUIET | {"auth.jwks_min_interval": 0.5})
    forger = ec.generate_private_key(ec.SECP256R1())
    good = await accepted(gateway, clients, issuer.token("first"))
    began = time.monotonic()
    codes: list[int] = []
    while time.monotonic() - began < 2.2:
        forged = [issuer.token(f"../{index}?kid=", key=forger) for index in range(20)]
        for error in await asyncio.gather(*(refused(gateway, clients, token) for token in forged)):
            codes.append(error["code"])
            if error["code"] == SERVICE_UNAVAILABLE:
                assert 0 < error["details"]["retryAfterMs"] <= 500
    elapsed = time.monotonic() - began
    assert len(codes) >= 100
    # One at the start, and then one in every interval.
    assert 4 <= len(issuer.fetched) <= 2 + elapsed / 0.5
    gaps = [later - earlier for earlier, later in zip(issuer.fetched, issuer.fetched[1:], strict=False)]
    assert min(gaps) > 0.45
    # Those that came between two fetches could not be judged; the others were found to be bad.
    assert set(codes) == {INVALID_TOKEN, SERVICE_UNAVAILABLE}
    assert issuer.paths == {"/keys.json"}
    await good.barrier()
    await accepted(gateway, clients, issuer.token("first", "bob"))


async def test_a_new_key_amid_a_flood_comes_through_S13(
    start_gateway: StartGateway, clients: Clients, issuer: Issuer
) -> None:
    """A client with a good token is never told that it is bad: it is asked to come again, and then accepted."""
    gateway = await started(start_gateway, issuer, QUIET)
    forger = ec.generate_private_key(ec.SECP256R1())
    await asyncio.sleep(0.35)
    await refused(gateway, clients, issuer.token("unknown", key=forger))
    issuer.rotate("second")
    error = await refused(gateway, clients, issuer.token("second"))
    assert error["code"] == SERVICE_UNAVAILABLE
    await asyncio.sleep(error["details"]["retryAfterMs"] / 1000)
    await accepted(gateway, clients, issuer.token("second"))


async def test_who_comes_while_keys_are_fetched_cannot_be_judged_by_them_S13(
    start_gateway: StartGateway, clients: Clients, issuer: Issuer
) -> None:
    """They may have been read before its key was among them."""
    gateway = await started(start_gateway, issuer, QUIET | {"auth.jwks_min_interval": 1})
    await asyncio.sleep(1.05)
    issuer.delay = 0.4
    tokens = [issuer.token(name, key=ec.generate_private_key(ec.SECP256R1())) for name in ("a", "b")]
    first = asyncio.ensure_future(refused(gateway, clients, tokens[0]))
    await until(lambda: len(issuer.fetched) == 2)
    second = await refused(gateway, clients, tokens[1])
    assert ((await first)["code"], second["code"]) == (INVALID_TOKEN, SERVICE_UNAVAILABLE)
    assert len(issuer.fetched) == 2


@pytest.mark.parametrize("fault", ["status", "redirect", "garbage", "too long", "no keys", "slow"])
async def test_known_keys_serve_while_no_others_can_be_had_S13(
    start_gateway: StartGateway, clients: Clients, issuer: Issuer, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastcollab.server.jwks_source._TIMEOUT", 0.2)
    gateway = await started(start_gateway, issuer)
    answers: dict[str, Callable[[], web.StreamResponse]] = {
        "status": lambda: web.Response(status=500),
        "redirect": lambda: web.Response(status=302, headers={"Location": "/elsewhere"}),
        "garbage": lambda: web.Response(text="<html>"),
        "too long": lambda: web.Response(text='{"keys":[' + " " * 300_000 + "]}"),
        "no keys": lambda: web.json_response({"keys": []}),
    }
    if fault == "slow":
        issuer.delay = 1.0
    else:
        issuer.answer = answers[fault]
    fetches = len(issuer.fetched)
    await until(lambda: len(issuer.fetched) >= fetches + 2)
    if fault == "no keys":
        # All were withdrawn, or it is a mistake: nobody gets in, and nobody is sent away for good.
        assert (await refused(gateway, clients, issuer.token("first")))["code"] == SERVICE_UNAVAILABLE
    else:
        await accepted(gateway, clients, issuer.token("first"))
    assert issuer.paths == {"/keys.json"}
    issuer.rotate("second")
    issuer.answer, issuer.delay = None, 0.0
    fetches = len(issuer.fetched)
    await until(lambda: len(issuer.fetched) > fetches)
    await asyncio.sleep(0.05)
    await accepted(gateway, clients, issuer.token("second"))


async def test_keys_get_too_old_S13(start_gateway: StartGateway, clients: Clients, issuer: Issuer) -> None:
    gateway = await started(start_gateway, issuer, FAST | {"auth.jwks_max_age": 1.5})
    alice = await accepted(gateway, clients, issuer.token("first"))
    issuer.answer = lambda: web.Response(status=500)
    await asyncio.sleep(2.0)
    error = await refused(gateway, clients, issuer.token("first", "bob"))
    assert error["code"] == SERVICE_UNAVAILABLE
    # Who is in stays, and is told that another token cannot be judged now.
    message_id = await alice.send("refresh_token", {"token": issuer.token("first")})
    await alice.refused(SERVICE_UNAVAILABLE, message_id)
    issuer.answer = None
    await asyncio.sleep(1.2)
    await accepted(gateway, clients, issuer.token("first", "bob"))
    await alice.send("refresh_token", {"token": issuer.token("first")})
    await alice.expect("token_refreshed")


async def test_failures_are_followed_by_longer_and_longer_waits_S13(
    start_gateway: StartGateway, clients: Clients, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastcollab.server.jwks_source._FIRST_DELAY", 0.1)
    issuer.answer = lambda: web.Response(status=503)
    await started(start_gateway, issuer, QUIET)
    await until(lambda: len(issuer.fetched) == 5)
    gaps = [later - earlier for earlier, later in zip(issuer.fetched, issuer.fetched[1:], strict=False)]
    for gap, expected in zip(gaps, (0.1, 0.2, 0.4, 0.8), strict=True):
        assert 0.85 * expected < gap < expected + 0.3


async def test_a_gateway_starts_without_its_keys_S13(
    start_gateway: StartGateway, clients: Clients, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastcollab.server.jwks_source._FIRST_DELAY", 0.2)
    issuer.answer = lambda: web.Response(status=503)
    gateway = await started(start_gateway, issuer, QUIET | {"auth.jwks_min_interval": 10})
    error = await refused(gateway, clients, issuer.token("first"))
    assert error["code"] == SERVICE_UNAVAILABLE
    by_message = await clients.open(gateway)
    await by_message.send("connect", {"token": issuer.token("first"), "deviceId": "d", "clientVersion": "1"})
    error = (await by_message.expect("error")).payload
    assert (error["code"], error["recoverable"]) == (SERVICE_UNAVAILABLE, False)
    await by_message.closed(4502)
    issuer.answer = None
    fetches = len(issuer.fetched)
    await until(lambda: len(issuer.fetched) > fetches)
    await asyncio.sleep(0.05)
    await accepted(gateway, clients, issuer.token("first"))


async def test_nobody_is_there_S13(start_gateway: StartGateway, clients: Clients, issuer: Issuer) -> None:
    issuer.url = "http://127.0.0.1:9/keys.json"
    gateway = await started(start_gateway, issuer)
    assert (await refused(gateway, clients, issuer.token("first")))["code"] == SERVICE_UNAVAILABLE


async def test_a_gateway_that_stops_leaves_nobody_waiting_S13(
    start_gateway: StartGateway, clients: Clients, issuer: Issuer
) -> None:
    """The fixture sees to it that no task and no socket is left."""
    gateway = await started(start_gateway, issuer, QUIET)
    await asyncio.sleep(0.35)
    issuer.delay = 2.0
    waiting = await clients.open(gateway, header_token=issuer.token("unknown", key=issuer.keys["first"]))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await gateway.stop()
    assert time.monotonic() - began < 2
    await waiting.closed(4502)
    waiting.take()
