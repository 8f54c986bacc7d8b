"""Where the dashboard is opened: two gateways on one Valkey, each a process, and the page as `fastcollab demo` has it.

The page's address says which gateway it is led to: ``?gateway=0`` or ``1``, or ``2`` for a door before both, as a load
balancer is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.chaos.ways import Way
from tests.durability.gateways import SECRET, GatewayProcess
from tests.redis_servers import VALKEY, start_server

from fastcollab import Config
from fastcollab.client import CollaborativeClient
from fastcollab.demo.content import AGENDA, DASHBOARD, PLAN, first_content
from fastcollab.demo.crowd import Crowd
from fastcollab.demo.people import Persona, persona
from fastcollab.demo.site import BUILT, Site, origins
from fastcollab.tokens import sign_token

#: The place of the door in the page's list of gateways.
DOOR = 2

#: Seconds before the end of its token at which a client is told.
EXPIRY_NOTICE = 2

SETTINGS = (
    "engine.lease=1.5",
    "engine.timeout=1.5",
    "presence.grace_period=2",
    f"auth.expiry_notice={EXPIRY_NOTICE}",
    "limits.operations=1000",
    "limits.messages=5000",
    "limits.connection_rate=0",
)


class Venue:
    """`url` is that of the page."""

    def __init__(self, url: str, gateways: Sequence[GatewayProcess], crowd: Crowd) -> None:
        self.url = url
        self.gateways = gateways
        self.crowd = crowd
        #: For how long (s) the tokens are valid that visitors get, and how many they got.
        self.token_lifetime = 3600
        self.tokens_given = 0
        self._config = _config()

    def token(self, visitor: Persona) -> str:
        self.tokens_given += 1
        return sign_token(
            self._config, visitor.user_id, name=visitor.name, color=visitor.color, ttl=self.token_lifetime
        )

    async def content(self, gateway: int) -> Any:
        """The dashboard's document, as that gateway gives it to somebody new, with the `content` of each note in it."""
        async with self._witness(gateway) as client:
            dashboard = (await client.join_room(DASHBOARD, "json1")).document.content
            widgets = []
            for widget in dashboard["widgets"]:
                note = await client.join_room(widget["room"], widget["type"]) if "room" in widget else None
                widgets.append({**widget, "content": note.document.content} if note else widget)
            return {**dashboard, "widgets": widgets}

    async def furnish(self) -> None:
        """Puts the documents to what they begin with, whatever they were."""
        async with self._witness(0) as client:
            room = await client.join_room(DASHBOARD, "json1")
            removal = {} if room.document.content is None else {"r": True}
            await room.submit([{**removal, "i": await _beginning(DASHBOARD, "json1")}])
            plan = await client.join_room(PLAN, "text")
            await plan.submit([await _beginning(PLAN, "text"), {"d": len(plan.text)}])
            agenda = await client.join_room(AGENDA, "rich-text")
            length = sum(len(each["insert"]) for each in agenda.document.content)
            await agenda.submit([*await _beginning(AGENDA, "rich-text"), *([{"delete": length}] if length else [])])

    @asynccontextmanager
    async def _witness(self, gateway: int) -> AsyncIterator[CollaborativeClient]:
        token = sign_token(self._config, "witness")
        async with CollaborativeClient(self.gateways[gateway].url, token) as client:
            yield client


async def _beginning(room_id: str, document_type: str) -> Any:
    begun = await first_content(room_id, document_type)
    assert begun is not None
    return begun.content


def _config() -> Config:
    return Config(auth={"secret": SECRET})


@asynccontextmanager
async def open_venue(web: Path = BUILT) -> AsyncIterator[Venue]:
    """All of it runs, with the page that is built in the folder; nothing of it outlives the block."""
    assert (web / "index.html").is_file(), "the dashboard is not built: run `make demo`"
    async with contextlib.AsyncExitStack() as running:
        server = await asyncio.to_thread(start_server, VALKEY)
        running.callback(server.stop)
        listening = running.enter_context(socket.create_server(("127.0.0.1", 0)))
        allowed = ",".join(f'"{origin}"' for origin in origins(listening))
        settings = (*SETTINGS, f"client.allowed_origins=[{allowed}]")
        gateways = [GatewayProcess(server.url, settings) for _ in range(2)]
        await asyncio.gather(*(running.enter_async_context(gateway) for gateway in gateways))
        door = Way([gateway.port for gateway in gateways])
        await door.open()
        running.push_async_callback(door.close)

        urls = [*(gateway.url for gateway in gateways), f"ws://127.0.0.1:{door.port}/ws"]
        crowd = Crowd(lambda number: CollaborativeClient(urls[number % 2], venue.token(persona(number))))
        running.push_async_callback(crowd.resize, 0)
        venue = Venue(origins(listening)[0], gateways, crowd)
        site = Site(web, listening, urls, venue.token, crowd)
        await site.start()
        running.push_async_callback(site.close)
        await venue.furnish()
        yield venue
