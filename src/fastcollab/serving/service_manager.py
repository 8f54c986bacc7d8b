"""What the service manager is told that has started this process, as systemd has it (sd_notify(3)).

Each message is a datagram to the socket that ``NOTIFY_SOCKET`` names: that connections are accepted, and, if
``WATCHDOG_USEC`` says within which time it has to be heard, that the event loop still turns. A process whose loop hangs
is killed by the manager and started again. Both variables are taken out of the environment, since they mean this
process and none that it starts.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import MutableMapping

from structlog import get_logger

from fastcollab._system import reason

log = get_logger(__name__)


class ServiceManager:
    """Tells `address`, if there is one, and is heard at least twice within `patience` seconds, if that is given."""

    def __init__(self, address: str | None, patience: float | None) -> None:
        # A name that begins with @ is one in the abstract name space, which begins with a zero.
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._interval = patience / 2 if patience else None

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> ServiceManager:
        patience = environment.pop("WATCHDOG_USEC", None)
        return cls(environment.pop("NOTIFY_SOCKET", None), int(patience) / 1e6 if patience else None)

    def ready(self) -> None:
        """To be called on the event loop, which is watched from now on."""
        self._tell("READY=1")
        self._still_there()

    def _still_there(self) -> None:
        if self._interval is not None:
            self._tell("WATCHDOG=1")
            asyncio.get_running_loop().call_later(self._interval, self._still_there)

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(state.encode(), self._address)
        except OSError as error:
            log.warning("the service manager cannot be told", state=state, reason=reason(error))
