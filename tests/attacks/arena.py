"""Where attacks are made: a gateway, bystanders and attackers, each a process of its own, and what was seen of them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.attacks.bystanders import FIRST_USER, MEMBERS, ROOMS
from tests.attacks.target import Attack

from fastcollab.bench.process import Memory

_SECRET = "a secret of the tests, and of nobody else"
_PATIENCE = 60.0
_SAMPLE = 0.05
_CLOSED_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What an attack did. `quiet` and `during` are the bystanders' 99th percentiles of latency in ms, `faults` what
    they missed, `growth` the most that the gateway's memory grew by in bytes, `left` how many more files and
    connections it has open afterwards.
    """

    waves: int
    met: Counter[str]
    quiet: float
    during: float
    faults: int
    growth: int
    left: int


@dataclass(frozen=True, slots=True)
class _Keys:
    key: str
    algorithm: str
    known: str

    @classmethod
    def shared(cls) -> _Keys:
        return cls(_SECRET, "HS256", "")

    @classmethod
    def pair(cls) -> _Keys:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return cls(pem.decode(), "RS256", public.decode())


async def attacked(name: str, attack: Attack, directory: Path, *, quiet: float, during: float) -> Sight:
    """Attacks a gateway for as many seconds as its bystanders are measured, after as many quiet ones."""
    keys = _Keys.pair() if attack.public_key else _Keys.shared()
    settings: dict[str, Any] = {
        "server.port": 0,
        "engine.url": f"sqlite:{directory / 'documents.db'}",
        "rooms.default_document_type": "text",
        "limits.connection_rate": 0,  # all come from one address
        "log.level": "error",
        "auth.secret": _SECRET,
    }
    if attack.public_key:
        del settings["auth.secret"]
        (directory / "public.pem").write_text(keys.known)
        settings |= {"auth.algorithms": ["RS256"], "auth.public_key_file": str(directory / "public.pem")}
    settings |= attack.settings
    async with AsyncExitStack() as cleanup:
        gateway = await _started(cleanup, 0, "tests.attacks.gateway", json.dumps(settings))
        url = await _line(gateway)
        bystanders = await _started(cleanup, 1, "tests.attacks.bystanders", url, str(quiet), str(during))
        audience = settings.get("auth.audience", [None])[0]
        for index in range(ROOMS * MEMBERS):
            await _tell(bystanders, _token(keys, FIRST_USER + index, audience))
        assert await _line(bystanders) == "quiet"
        before, files = Memory.of(gateway.pid).rss, _open_files(gateway.pid)
        attackers = await _started(cleanup, 1, "tests.attacks", name, str(during + 0.5))
        description = {"url": url, "key": keys.key, "algorithm": keys.algorithm, "known": keys.known}
        await _tell(attackers, json.dumps(description))
        watch = asyncio.create_task(_most_memory(gateway.pid))
        try:
            found = await _report(attackers, gateway)
            figures = json.loads(await _line(bystanders))
        finally:
            watch.cancel()
            most = await watch
        return Sight(
            waves=found["waves"],
            met=Counter(found["met"]),
            quiet=figures["quiet"],
            during=figures["during"],
            faults=figures["faults"],
            growth=most - before,
            left=await _left_open(gateway.pid, files - ROOMS * MEMBERS),
        )


def _token(keys: _Keys, user: int, audience: str | None) -> str:
    claims = {"sub": str(user), "iat": int(time.time()), "exp": int(time.time()) + 3600, "rooms": {"*": "write"}}
    return jwt.encode(claims if audience is None else {**claims, "aud": audience}, keys.key, keys.algorithm)


async def _started(cleanup: AsyncExitStack, core: int, module: str, *arguments: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        env={name: value for name, value in os.environ.items() if not name.startswith("FASTCOLLAB_")},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )

    async def end() -> None:
        if process.returncode is None:
            process.kill()
        await process.wait()

    cleanup.push_async_callback(end)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(process.pid, {cores[core]})
    return process


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), _PATIENCE)).decode().strip()
    assert line, "a process has ended, and said why"
    return line


async def _tell(process: asyncio.subprocess.Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line.encode() + b"\n")
    await process.stdin.drain()


async def _report(attackers: asyncio.subprocess.Process, gateway: asyncio.subprocess.Process) -> dict[str, Any]:
    """What the attackers have to say at the end; meanwhile they are served with revocations."""
    while (line := await _line(attackers)).startswith("revoke "):
        await _tell(gateway, line.removeprefix("revoke "))
        await _tell(attackers, await _line(gateway))
    report: dict[str, Any] = json.loads(line)
    return report


async def _most_memory(pid: int) -> int:
    most = 0
    try:
        while True:
            most = max(most, Memory.of(pid).rss)
            await asyncio.sleep(_SAMPLE)
    except asyncio.CancelledError:
        return most


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def _left_open(pid: int, expected: int) -> int:
    """How many more files than expected are open, when those that are closing have had their time."""
    for _ in range(round(_CLOSED_WITHIN / _SAMPLE)):
        if (left := _open_files(pid) - expected) <= 0:
            break
        await asyncio.sleep(_SAMPLE)
    return left
