"""The lock by which one gateway keeps others off its file.

It is on a file of its own beside the database: a process that opens and closes the database itself would lose the locks
that SQLite holds on it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from fastcollab.errors import StoreError


def take_lock(path: Path) -> int:
    """Locks the file at `path` for as long as the descriptor that is returned is open, or until the process ends.

    Raises :class:`StoreError` if another holds the lock. The file stays when the lock is let go: to remove it would
    be to take it from one who has just opened it.
    """
    lock_path = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"{lock_path} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace")
        os.close(descriptor)
        raise StoreError(f"{path} is in use by another gateway, process {holder or 'unknown'}") from None
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f"{lock_path} cannot be written: {error.strerror}") from None
    return descriptor
