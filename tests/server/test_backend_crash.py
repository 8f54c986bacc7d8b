"""What was acknowledged reaches the back end, even if the gateway is killed before it could hand it back."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.server.gateway_process import serving
from tests.server.receiver import SECRET, answering


@pytest.mark.parametrize("kept_waiting", ["by the delay", "by the back end"])
async def test_killed_between_commit_and_hand_back(clients, receiver, tmp_path: Path, kept_waiting: str) -> None:
    store = tmp_path / "documents.db"
    settings = [f"backend.save_url={receiver.url}", f"backend.secret={SECRET}"]
    slowly = [*settings, "backend.save_delay=600", "backend.save_max_delay=600"]
    soon = [*settings, "backend.save_delay=0"]
    async with serving(store, *soon) as first:
        ada = await clients.enter(first, "ada", "handed back", "waiting")
        await ada.operate(["one"], 0, roomId="handed back")
        await ada.operate(["one"], 0, roomId="waiting")
        for room in ("handed back", "waiting"):
            await receiver.saved(room, lambda state: state["version"] == 1)
        assert await first.end() == 0
        ada.take("error")
    receiver.saves.clear()

    if kept_waiting == "by the back end":
        receiver.on_save = answering(503)
    async with serving(store, *(soon if kept_waiting == "by the back end" else slowly)) as second:
        ada = await clients.enter(second, "ada", "waiting")
        assert await ada.operate(["two "], 1) == 2
        if kept_waiting == "by the back end":
            await receiver.asked(2)
        assert await second.end(signal.SIGKILL) == -signal.SIGKILL
    assert receiver.documents["waiting"]["version"] == 1  # type: ignore[index]
    receiver.on_save = receiver.keep
    receiver.saves.clear()

    async with serving(store, *soon) as third:
        state = await receiver.saved("waiting", lambda state: state["version"] == 2)
        assert state["data"] == "two one"
        assert await third.end() == 0
    assert [save["roomId"] for save in receiver.saves] == ["waiting"], "and nothing that the back end has already"


async def test_an_address_that_is_new_is_given_all_that_was_ever_written(clients, receiver, tmp_path: Path) -> None:
    store = tmp_path / "documents.db"
    async with serving(store) as first:
        ada = await clients.enter(first, "ada", *(f"room {number}" for number in range(9)))
        for number in range(8):
            await ada.operate([f"{number}"], 0, roomId=f"room {number}")
        assert await first.end() == 0
        ada.take("error")
    settings = [f"backend.save_url={receiver.url}", f"backend.secret={SECRET}", "backend.save_delay=0"]
    async with serving(store, *settings) as second:
        for number in range(8):
            assert (await receiver.saved(f"room {number}", lambda state: True))["data"] == f"{number}"
        assert await second.end() == 0
    assert len(receiver.saves) == 8
