"""The access list that docs/operations.md advises gives a gateway all that it needs, and nothing of others."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
import redis
from tests.redis_servers import REDIS_6, VALKEY, Kind, start_server
from tests.server.clients import Clients
from tests.server.conftest import GENEROUS, MakeToken

from fastcollab import Config, Gateway

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
PASSWORD = "a-password-of-the-tests"
SECRET = "a secret of the tests, and of nobody else"


def access_list() -> list[str]:
    (found,) = re.findall(r"an ACL: `([^`]*)`", PAGE.read_text())
    return str(found).split()


@pytest.mark.parametrize(("kind", "durability"), [(VALKEY, "aof"), (REDIS_6, "none")])
async def test_gateways_work_with_it(kind: Kind, durability: str, make_token: MakeToken) -> None:
    options = ["--appendonly", "yes", "--appendfsync", "always"]
    with start_server(kind, *options) as server, contextlib.closing(server.client()) as admin:
        admin.execute_command("ACL", "SETUSER", "gateway", "on", f">{PASSWORD}", *access_list())
        admin.execute_command("ACL", "SETUSER", "default", "off")
        settings: dict[str, Any] = {
            **GENEROUS,
            "auth.secret": SECRET,
            "server.port": 0,
            "rooms.default_document_type": "text",
            "engine.durability": durability,
            "engine.url": f"redis://gateway:{PASSWORD}@{server.address}/0",
        }
        async with (
            Gateway(Config.load(None, settings)) as one,
            Gateway(Config.load(None, settings)) as other,
            Clients(make_token) as clients,
        ):
            ada, bob = await clients.enter(one, "ada", "r"), await clients.enter(other, "bob", "r")
            await ada.operate(["hello"], 0)
            await bob.expect("operation_broadcast")
            await ada.send("presence_update", {"presence": {"status": "writing"}})
            await bob.expect("presence_update")
            await other.revoke_user("ada")
            await ada.expect("error")
            assert not one.faults
            assert not other.faults
        with redis.Redis(port=server.port, username="gateway", password=PASSWORD) as user:
            for command in (["SET", "other:key", "1"], ["PUBLISH", "other", "1"], ["FLUSHALL"], ["CONFIG", "GET", "*"]):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    user.execute_command(*command)
