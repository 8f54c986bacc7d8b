"""How durable commands are confirmed: by the disk, or by replicas."""

from __future__ import annotations

from typing import Any

import hiredis

from fastcollab.config import EngineConfig
from fastcollab.engines.redis.faults import NotConfirmed
from fastcollab.engines.redis.link import Word
from fastcollab.engines.redis.pipe import Confirmation

#: How much of the time for an answer the server may wait, so that its answer comes before we take it for dead.
_SHARE = 0.8


class OnDisk:
    """In the server's append-only file, and on its disk."""

    def __init__(self, timeout: float) -> None:
        self.command: tuple[Word, ...] = ("WAITAOF", 1, 0, int(timeout * 1000 * _SHARE))

    def doubt(self, reply: Any) -> Exception | None:
        if isinstance(reply, hiredis.ReplyError):
            return reply
        return None if reply[0] >= 1 else NotConfirmed("the disk has not confirmed what was written")


class OnReplicas:
    """In the memory of so many replicas."""

    def __init__(self, replicas: int, timeout: float) -> None:
        self._replicas = replicas
        self.command: tuple[Word, ...] = ("WAIT", replicas, int(timeout * 1000 * _SHARE))

    def doubt(self, reply: Any) -> Exception | None:
        if isinstance(reply, hiredis.ReplyError):
            return reply
        if reply >= self._replicas:
            return None
        return NotConfirmed(f"{reply} of {self._replicas} replicas have confirmed what was written")


def confirmation_of(config: EngineConfig) -> Confirmation | None:
    """What durable commands wait for with this configuration; None: nothing."""
    match config.redis_durability:
        case "aof":
            return OnDisk(config.timeout)
        case "replicas":
            return OnReplicas(config.replicas, config.timeout)
        case _:
            return None
