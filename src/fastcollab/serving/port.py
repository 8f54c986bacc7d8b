"""The port of several workers, had by the supervisor for as long as it runs.

Workers may listen on one port since each says that others may. But so might the workers of another ``serve``, and
clients would be given to the one or the other by chance. So the port is first asked for by someone who says nothing of
the kind, which fails if anybody listens there. Then it is bound, without listening: nobody is connected to that socket,
and a port that is asked for as 0 has its number before the first worker starts, and keeps it when all are dead.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from fastcollab._system import reason
from fastcollab.serving.plan import CannotServe


@contextmanager
def held_port(host: str, port: int) -> Iterator[int]:
    """The number of the port, any free one for 0, at all addresses of `host`. Raises OSError, which names the address
    as what it is about (`filename`).
    """
    with ExitStack() as held:
        try:
            number = _hold(host, port, held)
        except OSError as error:
            error.filename = f"{host}:{port}"
            raise
        yield number


def _hold(host: str, port: int, held: ExitStack) -> int:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, _, protocol, _, address in dict.fromkeys(found):
        at = (address[0], port, *address[2:])
        if port:
            with _socket(family, protocol) as probe:
                # Connections that have ended are in nobody's way.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(at)
        holder = held.enter_context(_socket(family, protocol))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(at)
        port = holder.getsockname()[1]
    return port


def cannot_listen(error: OSError) -> CannotServe:
    """What is told of an address that cannot be had; it is the error's `filename`."""
    return CannotServe(f"cannot listen on {error.filename}: {reason(error)}")


def _socket(family: int, protocol: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM, protocol)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made
