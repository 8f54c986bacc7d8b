"""What the system says, in words."""

from __future__ import annotations

import os
import socket


def reason(error: OSError) -> str:
    """Why a system call failed, without what ``str`` and the event loop put around it."""
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno)
