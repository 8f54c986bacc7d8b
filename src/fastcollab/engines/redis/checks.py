"""Whether a server can do what is asked of it, which is looked at before anybody relies on it."""

from __future__ import annotations

from typing import Any

from fastcollab.config import EngineConfig
from fastcollab.errors import StoreError

_OLDEST = (6, 2)
_OLDEST_WITH_WAITAOF = (7, 2)


def check_server(config: EngineConfig, info: Any) -> None:
    """Raises :class:`StoreError` unless `info`, the reply to INFO, is that of a server that will do."""
    if not isinstance(info, bytes):
        raise StoreError(f"it does not say what it is: {info}")
    said = dict(line.split(":", 1) for line in info.decode(errors="replace").splitlines() if ":" in line)
    version = said.get("redis_version", "0.0")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < _OLDEST:
        raise StoreError(f"it is of version {version}, and 6.2 is the oldest that is supported")
    url = config.redis
    is_cluster = said.get("cluster_enabled") == "1"
    if url is not None and is_cluster != (url.kind == "cluster"):
        raise StoreError(
            "it is part of a Cluster: write redis+cluster:// in engine.url"
            if is_cluster
            else "it is no Cluster: write redis:// in engine.url"
        )
    if said.get("role") == "slave":
        raise StoreError("it is a replica, which cannot be written to")
    if (policy := said.get("maxmemory_policy", "")).startswith("allkeys-") and said.get("maxmemory") != "0":
        raise StoreError(
            f"it drops keys when it is full (maxmemory-policy is {policy}), and documents with them: set noeviction"
        )
    _check_durability(config, version, numbers, said)


def _check_durability(config: EngineConfig, version: str, numbers: tuple[int, ...], said: dict[str, str]) -> None:
    if config.redis_durability == "aof":
        if numbers < _OLDEST_WITH_WAITAOF:
            raise StoreError(f"engine.durability is aof, which takes version 7.2, and it is of version {version}")
        if said.get("aof_enabled") != "1":
            raise StoreError("engine.durability is aof, and it has no append-only file: set appendonly to yes")
    if config.redis_durability == "replicas" and int(said.get("connected_slaves", 0)) < config.replicas:
        raise StoreError(
            f"engine.durability is replicas, {config.replicas} of them, and it has {said.get('connected_slaves', 0)}"
        )
