"""Which engine the configuration chooses."""

from pathlib import Path

import pytest

from fastcollab.config import EngineConfig
from fastcollab.engines import open_documents, open_engine
from fastcollab.engines.memory import MemoryDocuments, MemoryRevocations
from fastcollab.engines.sqlite import SqliteDocuments
from fastcollab.engines.sqlite.revoking import SqliteRevocations
from fastcollab.errors import StoreError


async def test_in_memory() -> None:
    engine = await open_engine(EngineConfig(url="memory://"))
    assert isinstance(engine.documents, MemoryDocuments)
    assert isinstance(engine.revocations, MemoryRevocations)
    assert engine.cluster is None
    await engine.close()


@pytest.mark.parametrize("durability", ["full", "relaxed"])
async def test_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str) -> None:
    config = EngineConfig.model_validate({"url": "sqlite:documents.db", "durability": durability})
    monkeypatch.chdir(tmp_path)
    engine = await open_engine(config)
    documents = engine.documents
    # It is sought once, and not again from another directory.
    monkeypatch.chdir("/")
    assert isinstance(documents, SqliteDocuments)
    assert isinstance(engine.revocations, SqliteRevocations)
    assert engine.cluster is None
    made = await documents.create("plans", "text", "")
    with pytest.raises(StoreError):
        await open_engine(EngineConfig(url=f"sqlite://{tmp_path}/documents.db"))
    async with open_documents(EngineConfig(url=f"sqlite://{tmp_path}/documents.db")) as tool:
        assert await tool.load("plans") == made
    await engine.close()
