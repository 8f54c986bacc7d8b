"""The ports, implemented; :func:`open_documents` and :func:`open_revocations` choose what is asked for."""

from __future__ import annotations

from fastcollab.config import EngineConfig
from fastcollab.ports import DocumentStore, Revocations


async def open_documents(engine: EngineConfig, *, exclusive: bool = True) -> DocumentStore:
    """The document store of this configuration; raises :class:`~fastcollab.errors.StoreError`.

    A gateway opens it with `exclusive`, so that no second one works on the same file; a tool does without.
    """
    if (path := engine.sqlite_path) is not None:
        from fastcollab.engines.sqlite import SqliteDocuments

        return await SqliteDocuments.open(path, engine.durability, exclusive=exclusive)

    from fastcollab.engines.memory import MemoryDocuments

    return MemoryDocuments()


async def open_revocations(documents: DocumentStore) -> Revocations:
    """The revocations that are kept where these documents are, or else in memory."""
    from fastcollab.engines.sqlite import SqliteDocuments

    if isinstance(documents, SqliteDocuments):
        return await documents.open_revocations()

    from fastcollab.engines.memory import MemoryRevocations

    return MemoryRevocations()
