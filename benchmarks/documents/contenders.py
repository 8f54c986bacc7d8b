"""The servers of the comparison, each started alone on a core of its own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import jwt

from benchmarks.documents.editors import GatewayEditor, ShareEditor
from benchmarks.documents.fleet import Endpoint
from benchmarks.peers.npm import installed
from fastcollab.bench.server import ConfigSections, gateway, server_process

SHAREDB = Path(__file__).parent.parent / "peers" / "sharedb"
YARDSTICK = "ShareDB"
FIRST_USER = 1_000_001

#: What people may do in a second is not what is measured.
UNLIMITED: ConfigSections = {"limits": {"operations": 1_000_000, "messages": 1_000_000, "rooms_per_user": 10_000}}


def introduced_by(secret: str) -> Callable[[int], Mapping[str, str]]:
    """The headers with which the client of a number introduces itself to gateways of this secret."""

    def headers(number: int) -> Mapping[str, str]:
        claims = {"sub": str(FIRST_USER + number), "exp": int(time.time()) + 3600}
        return {"Authorization": f"Bearer {jwt.encode(claims, secret, 'HS256')}"}

    return headers


@contextmanager
def run_gateway(settings: ConfigSections, core: int | None) -> Iterator[Endpoint]:
    with gateway({**UNLIMITED, **settings}, core=core) as server:
        assert server.pid is not None and server.secret is not None
        yield Endpoint(GatewayEditor, [server.url], [server.pid], introduced_by(server.secret))


@contextmanager
def run_gateway_on_file(durability: str, core: int | None) -> Iterator[Endpoint]:
    with tempfile.TemporaryDirectory(prefix="fastcollab-documents-") as folder:
        engine = {"url": f"sqlite://{folder}/documents.db", "durability": durability}
        with run_gateway({"engine": engine}, core) as endpoint:
            yield endpoint


@contextmanager
def run_sharedb(core: int | None) -> Iterator[Endpoint]:
    command = [str(installed(SHAREDB)), str(SHAREDB / "server.mjs")]
    with server_process(command, core=core) as (pid, line):
        yield Endpoint(ShareEditor, [f"ws://{line.split()[-1]}"], [pid], lambda _: {})


Contender = Callable[[int | None], AbstractContextManager[Endpoint]]

GATEWAYS: dict[str, Contender] = {
    "fastcollab, in memory": partial(run_gateway, {}),
    "fastcollab, relaxed": partial(run_gateway_on_file, "relaxed"),
    "fastcollab, full": partial(run_gateway_on_file, "full"),
}
CONTENDERS: dict[str, Contender] = {**GATEWAYS, YARDSTICK: run_sharedb}
