"""The certificate that TLS connections are taken with, renewed while the gateway runs.

Each connection is given the context that is the newest when it begins, so that to renew the certificate is to make
another context. One that cannot be made, because only one of the two files has been replaced yet, or something is
wrong with them, leaves the earlier one in place.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from fastcollab.config import ConfigError, ConfigProblem, TlsConfig
from fastcollab.logs import get_logger
from fastcollab.tls import CertificateError, server_context

log = get_logger(__name__)

_State = tuple[tuple[int, int, int] | None, ...]


class Certificates:
    """The certificate in these files, which are looked at every `interval` seconds; 0: never.

    Raises :class:`~fastcollab.tls.CertificateError` if there is nothing to begin with.
    """

    def __init__(self, certificate: Path, key: Path, interval: float) -> None:
        self._files = (certificate, key)
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None
        self._seen = self._state()
        self.context: ssl.SSLContext = server_context(certificate, key)

    @classmethod
    def of(cls, tls: TlsConfig) -> Certificates | None:
        """Those of the configuration, which has looked at the files; they may have changed since.

        Raises :class:`~fastcollab.config.ConfigError`.
        """
        if tls.certificate_file is None or tls.key_file is None:
            return None
        try:
            return cls(tls.certificate_file, tls.key_file, tls.reload_interval)
        except CertificateError as error:
            raise ConfigError([ConfigProblem("tls.key_file", f"names {error}")]) from None

    def watch(self) -> None:
        """Looks at the files from now on, on the running loop."""
        if self._interval:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._look)

    def cancel(self) -> None:
        """Looks no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def reload(self) -> None:
        """Takes what is in the files now for new connections, if it can be used."""
        self._seen = self._state()
        try:
            self.context = server_context(*self._files)
        except CertificateError as error:
            log.error("the certificate could not be renewed; the one before stays", problem=str(error))
        else:
            log.info("the certificate is renewed", file=str(self._files[0]))

    def _look(self) -> None:
        self.watch()
        if self._state() != self._seen:
            self.reload()

    def _state(self) -> _State:
        """By what one sees that a file has changed, wherever a link leads to. None: there is none."""
        state: list[tuple[int, int, int] | None] = []
        for path in self._files:
            try:
                found = path.stat()
            except OSError:
                state.append(None)
            else:
                state.append((found.st_ino, found.st_mtime_ns, found.st_size))
        return tuple(state)
