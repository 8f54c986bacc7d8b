"""A back end as a team would write it from ``docs/backend.md``, which can be made to misbehave."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

SECRET = "what the gateway and its back end know"

Answer = Callable[[dict[str, Any]], Awaitable[web.Response]]


def is_genuine(secret: str, headers: Any, body: bytes, window: float = 300) -> bool:
    """Whether a request is one that the gateway has signed not long ago."""
    timestamp, signature = headers.get("Fastcollab-Timestamp", ""), headers.get("Fastcollab-Signature", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > window:
        return False
    expected = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(signature, f"v1={expected}")


class Receiver:
    """Serves `documents`, by room, and keeps in them what it is given, unless it has something newer.

    `rights` are what users may do, by user and room, and `profiles` how they are shown, by user; `events` are those of
    webhooks. `on_load`, `on_save`, `on_permission`, `on_profile` and `on_event` are asked instead, where a test sets
    them. It dies with :meth:`stop`, and :meth:`start` has it back at the same address.
    """

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any] | None] = {}
        self.loads: list[dict[str, Any]] = []
        self.saves: list[dict[str, Any]] = []
        self.rights: dict[tuple[str, str], str | dict[str, Any]] = {}
        self.permissions_asked: list[dict[str, Any]] = []
        self.profiles: dict[str, dict[str, Any]] = {}
        self.profiles_asked: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.forged = 0
        self.at_once: Counter[str] = Counter()
        self.most_at_once = 0
        self.most_of_a_room_at_once = 0
        self.on_load: Answer = self.give
        self.on_save: Answer = self.keep
        self.on_permission: Answer = self.permit
        self.on_profile: Answer = self.show
        self.on_event: Answer = answering(204)
        self._port = 0
        self._runner: web.AppRunner | None = None
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/documents"

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/documents", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def saved(self, room: str, where: Callable[[dict[str, Any]], bool], within: float = 10) -> dict[str, Any]:
        """Waits until it has such a state of the document."""

        def found() -> bool:
            return (state := self.documents.get(room)) is not None and where(state)

        try:
            await self.noticed(found, within)
        except TimeoutError:
            raise AssertionError(f"not saved: {self.documents.get(room)}; {len(self.saves)} saves") from None
        state = self.documents[room]
        assert state is not None
        return state

    async def asked(self, count: int) -> None:
        """Waits until it was asked so many times."""
        logs = (self.loads, self.saves, self.permissions_asked, self.profiles_asked)
        await self.noticed(lambda: sum(map(len, logs)) >= count)

    async def noticed(self, condition: Callable[[], bool], within: float = 10) -> None:
        """Waits until the condition holds, which changes with a request."""
        async with asyncio.timeout(within):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def give(self, request: dict[str, Any]) -> web.Response:
        if request["roomId"] not in self.documents:
            return web.Response(status=404)
        document = self.documents[request["roomId"]]
        return web.Response(status=204) if document is None else web.json_response(document)

    async def keep(self, request: dict[str, Any]) -> web.Response:
        known = self.documents.get(request["roomId"])
        if known is None or known.get("epoch") != request["epoch"] or known["version"] < request["version"]:
            self.documents[request["roomId"]] = {
                name: request[name] for name in ("type", "version", "epoch", "data") if name in request
            }
        return web.Response(status=204)

    async def permit(self, request: dict[str, Any]) -> web.Response:
        right = self.rights.get((request["userId"], request["roomId"]))
        if right is None:
            return web.Response(status=404)
        return web.json_response({"permission": right} if isinstance(right, str) else right)

    async def show(self, request: dict[str, Any]) -> web.Response:
        profile = self.profiles.get(request["userId"])
        return web.Response(status=204) if profile is None else web.json_response(profile)

    async def _handle(self, http: web.Request) -> web.Response:
        body = await http.read()
        if not is_genuine(SECRET, http.headers, body):
            self.forged += 1
            self._news.set()
            return web.Response(status=401)
        request = json.loads(body)
        told = self.events, self.on_event
        log, answer = {
            "load": (self.loads, self.on_load),
            "save": (self.saves, self.on_save),
            "permission": (self.permissions_asked, self.on_permission),
            "profile": (self.profiles_asked, self.on_profile),
        }.get(request["event"], told)
        log.append(request)
        room = request.get("roomId", "")
        self.at_once[room] += 1
        self.most_at_once = max(self.most_at_once, self.at_once.total())
        self.most_of_a_room_at_once = max(self.most_of_a_room_at_once, self.at_once[room])
        self._news.set()
        try:
            return await answer(request)
        finally:
            self.at_once[room] -= 1
            self._news.set()


def answering(status: int, **response: Any) -> Answer:
    """Always the same answer."""

    async def answer(request: dict[str, Any]) -> web.Response:
        return web.Response(status=status, **response)

    return answer


async def eventually(condition: Callable[[], Awaitable[bool]], within: float = 10) -> None:
    """Waits until the condition holds."""
    async with asyncio.timeout(within):
        while not await condition():  # noqa: ASYNC110 - what is waited for is in another program
            await asyncio.sleep(0.01)
