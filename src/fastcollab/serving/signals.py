"""What signals tell a process that serves."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from fastcollab.config import Config


def heed_signals(config: Config, stop: Callable[[], None], renew_certificate: Callable[[], None]) -> None:
    """Has signals to this process call these, on the event loop that runs."""
    loop = asyncio.get_running_loop()

    def told_to_stop() -> None:
        stop()
        # Whoever asks a second time does not want to wait for the drain.
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, told_to_stop)
    if config.tls.certificate_file is not None:
        loop.add_signal_handler(signal.SIGHUP, renew_certificate)
