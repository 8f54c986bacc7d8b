"""`python -m tests.attacks NAME SECONDS`: one attack, on the gateway that standard input tells of.

Its first line is a JSON object: `url`, `key`, `algorithm` and `known`, as in :class:`~tests.attacks.target.Target`. To
have a user's tokens revoked, `revoke USER` is printed, and a line awaited. At the end a JSON object says how many waves
there were, and what they met.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

import tests.attacks.bodies
import tests.attacks.doors
import tests.attacks.floods  # noqa: F401 - they register attacks
from tests.attacks.target import ATTACKS, Target


async def main() -> None:
    # What is measured is the gateway, and not who of its clients gets the processor first.
    os.nice(10)
    name, seconds = sys.argv[1], float(sys.argv[2])
    attack = ATTACKS[name]
    loop = asyncio.get_running_loop()
    revoking = asyncio.Lock()

    async def revoke(user: str) -> None:
        async with revoking:
            print("revoke", user, flush=True)
            await loop.run_in_executor(None, sys.stdin.readline)

    target = Target(**json.loads(sys.stdin.readline()), revoke=revoke)
    deadline = time.monotonic() + seconds
    waves = 0

    async def attacker() -> None:
        nonlocal waves
        while time.monotonic() < deadline:
            await attack.wave(target)
            waves += 1

    async with asyncio.TaskGroup() as attackers:
        for _ in range(attack.at_once):
            attackers.create_task(attacker())
    print(json.dumps({"waves": waves, "met": target.met}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
