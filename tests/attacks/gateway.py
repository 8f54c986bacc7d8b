"""`python -m tests.attacks.gateway SETTINGS`: a gateway that is told on its standard input whom to revoke.

SETTINGS is a JSON object of dotted keys. It prints its address when it accepts connections, and `revoked` after each
line that it has read, which is the id of a user.
"""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

from fastcollab import Config, Gateway


async def main() -> None:
    async with Gateway(Config.load(None, json.loads(sys.argv[1]))) as gateway:
        print(gateway.url, flush=True)
        loop = asyncio.get_running_loop()
        while user := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            await gateway.revoke_user(user)
            print("revoked", flush=True)


if __name__ == "__main__":
    uvloop.run(main())
