"""The gateway is killed while people write, and started again on the same file: what was acknowledged is there.

`DURABILITY_KILLS` says how often, and `DURABILITY_SEED` when; `make durability` kills a hundred times. (A process that
is killed leaves what it has handed to the operating system. That the disk has it too, against a power failure, is for
`fsync` to see to, and cannot be seen from here.)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path
from random import Random

from tests.durability.gateways import PATIENCE, GatewayProcess
from tests.durability.writers import EDITS, MARKS, PackageWriter, SpecWriter, marks_in

from fastcollab import ot
from fastcollab.engines.sqlite import SqliteDocuments
from fastcollab.ot.live import open_document

KILLS = int(os.environ.get("DURABILITY_KILLS", "10"))
SEED = int(os.environ.get("DURABILITY_SEED", "1"))

Writers = list[PackageWriter | SpecWriter]


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """OT3, OT5: every acknowledged operation is there, none twice, and all copies are equal."""
    random = Random(SEED)
    marks = iter(MARKS)
    path = tmp_path / "documents.db"
    async with GatewayProcess(f"sqlite:{path}") as gateway:
        writers: Writers = [
            PackageWriter(gateway, f"{user} of {room}", room, random, marks)
            for room in EDITS
            for user in ("ada", "bob")
        ]
        writers.append(SpecWriter(gateway, "eve", random, marks))
        for writer in writers:
            await writer.join()
        async with asyncio.TaskGroup() as writing:
            for writer in writers:
                writing.create_task(writer.write())
            for _ in range(KILLS):
                await asyncio.sleep(random.uniform(0.2, 0.8))
                await gateway.kill()
                await gateway.start()
            for writer in writers:
                writer.stop()
        for room in EDITS:
            await converge([writer for writer in writers if writer.room == room])
        for writer in writers:
            await writer.leave()
    check_file(path)
    store = await SqliteDocuments.open(path)
    try:
        for room in EDITS:
            await check_log(store, room, [writer for writer in writers if writer.room == room])
    finally:
        await store.close()
    count = sum(len(writer.saved) for writer in writers)
    print(f"seed {SEED}: {KILLS} kills, {count} edits acknowledged")


async def converge(writers: Writers) -> None:
    """All copies come to the same, which has every mark once."""
    async with asyncio.timeout(PATIENCE):
        while len({(await writer.content())[1] for writer in writers}) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    contents = [(await writer.content())[0] for writer in writers]
    assert all(content == contents[0] for content in contents)
    written = set[str]().union(*(writer.written for writer in writers))
    assert marks_in(contents[0]) == sorted(written)
    for writer in writers:
        assert writer.saved == writer.written


def check_file(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def check_log(store: SqliteDocuments, room: str, writers: Writers) -> None:
    """The log has no gap and no operation twice, and leads to what is on the screens."""
    stored = await store.load(room)
    assert stored is not None
    entries = await store.history(room, stored.epoch, 0)
    assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))
    assert len({entry.author for entry in entries}) == len(entries)
    document_type = ot.types[room]
    live = open_document(document_type, document_type.create())
    for entry in entries:
        live.apply(entry.operation)
    for writer in writers:
        assert await writer.content() == (live.content(), len(entries))
