"""What follows from the configuration for ``serve`` and for the tools beside it: where documents are, and what each of
several workers is told. No I/O: what there is on the disk is an argument.

By default documents are in a file, which one process has; workers have a directory in its place. Whoever goes over from
one to the other and names neither must not be met by empty rooms: what there is already is taken, and where that cannot
be, it is said what to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from fastcollab.config import Config, EngineConfig
from fastcollab.errors import FastcollabError

FILE = "fastcollab.db"
DIRECTORY = "fastcollab.data"


class CannotServe(FastcollabError):
    """Why there is nothing to be served, in lines for whoever has asked for it."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class Kept(NamedTuple):
    """Which of the places there are, in the working directory, where documents are kept by default."""

    file: bool
    directory: bool

    @classmethod
    def here(cls) -> Kept:
        return cls(Path(FILE).exists(), Path(DIRECTORY).exists())


def engine_to_serve(config: Config, kept: Kept) -> EngineConfig:
    """Where ``serve`` has its documents. Raises :class:`CannotServe`."""
    workers = config.server.workers
    engine = _engine(config, kept)
    if workers == 1 or engine.sqlite_path is None:
        return engine
    if config.origin("engine.url") != "default":
        raise CannotServe(
            f"engine.url is {engine.url}, and a file is one process's, while server.workers is {workers}: set it to "
            "valkey: and a directory, or to a Redis; `fastcollab document export` and `import` take documents there"
        )
    raise CannotServe(
        f"{FILE} has the documents, and a file is one process's, while server.workers is {workers}: take them along "
        f"with `fastcollab document export --all --history --engine sqlite:{FILE} > documents.jsonl` and `fastcollab "
        f"document import documents.jsonl --engine valkey:{DIRECTORY}`, and name it: --engine valkey:{DIRECTORY}"
    )


def engine_to_look_at(config: Config, kept: Kept) -> EngineConfig:
    """Where the tools look for documents. Raises :class:`CannotServe` if that is not clear."""
    return _engine(config, kept)


def _engine(config: Config, kept: Kept) -> EngineConfig:
    engine = config.engine
    if config.origin("engine.url") != "default":
        return engine
    if kept.file and kept.directory:
        raise CannotServe(
            f"there are documents in {FILE} and in {DIRECTORY}: say which with --engine sqlite:{FILE} or "
            f"--engine valkey:{DIRECTORY} (engine.url)"
        )
    if kept.directory or (config.server.workers > 1 and not kept.file):
        return engine.model_copy(update={"url": f"valkey:{DIRECTORY}"})
    return engine


def worker_config(config: Config, engine: EngineConfig, port: int) -> Config:
    """What each worker is told, which listens on `port` with the others. What the configuration allows all clients of
    the gateway together, each worker allows its share of, since the kernel spreads connections evenly.
    """
    workers = config.server.workers
    server, limits = config.server, config.limits
    return config.model_copy(
        update={
            "engine": engine,
            # What they would say there, the supervisor says, and asks for the keys.
            "ops": config.ops.model_copy(update={"port": None, "api_keys": ()}),
            "server": server.model_copy(update={"port": port, "reconnect_rate": server.reconnect_rate / workers}),
            "limits": limits.model_copy(
                update={
                    name: -(-getattr(limits, name) // workers)
                    for name in ("connections", "handshakes", "connection_rate")
                }
            ),
        }
    )
