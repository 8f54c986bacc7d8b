"""The documents in one SQLite file, for one gateway; see :mod:`fastcollab.engines.sqlite.schema` for what is in it."""

from fastcollab.engines.sqlite.store import SqliteDocuments

__all__ = ["SqliteDocuments"]
