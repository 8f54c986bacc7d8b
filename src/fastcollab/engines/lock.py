"""The lock by which one gateway keeps others off what it stores.

It is on a file of its own: a process that opens and closes a SQLite database itself would lose the locks that SQLite
holds on it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from fastcollab.errors import StoreError


class InUse(StoreError):
    """Another process has the lock."""


def take_lock(stored: Path, lock: Path) -> int:
    """Locks what is `stored` by the file `lock`, for as long as the descriptor that is returned is open, here or in a
    process that has inherited it.

    Raises :class:`InUse` if another holds the lock, and :class:`StoreError` if the file cannot be used. It stays when
    the lock is let go: to remove it would be to take it from one who has just opened it.
    """
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"{lock} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace")
        os.close(descriptor)
        raise InUse(f"{stored} is in use by another gateway, process {holder or 'unknown'}") from None
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f"{lock} cannot be written: {error.strerror}") from None
    return descriptor
