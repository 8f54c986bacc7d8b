"""The newest key set of an address, so that who signs tokens can change keys without telling the gateway (S13).

::

    fetch ──▶ keys ── after `refresh_interval` ──▶ fetch       those that were withdrawn are dropped
                   ── a token names another key ──▶ fetch      but no two within `min_interval`
    failure ── 1 s, 2 s, 4 s, … up to `refresh_interval` ──▶ fetch

One task does all of it, so that there is one fetch at a time, and all who wait for keys wait for the same. While the
address does not answer, the keys that are known serve until they are `max_age` old. Then, and before the first fetch,
tokens cannot be judged, which is not the same as refused.

Anybody can send tokens that name keys which do not exist. They cost one fetch per `min_interval` together; one that
comes between two fetches is not refused, since the key may be new, but told when to come again.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from random import uniform
from typing import TYPE_CHECKING

import aiohttp

from fastcollab.errors import ServiceUnavailable
from fastcollab.logs import get_logger
from fastcollab.server.auth import UnknownKey
from fastcollab.server.jwks import KeySet, PublicKey, header_of

if TYPE_CHECKING:
    from fastcollab.config import AuthConfig

log = get_logger(__name__)

#: Seconds that a fetch may take, and bytes that a set may have.
_TIMEOUT = 5.0
_MAX_SET = 262_144
#: Seconds until the first attempt after a failure.
_FIRST_DELAY = 1.0


class _FetchFailedError(Exception):
    """The set cannot be had; the text says why, without the address, in which there may be a password."""


class JwksSource:
    """The keys of `config.jwks_url`; nothing is fetched before :meth:`start`."""

    def __init__(self, config: AuthConfig) -> None:
        assert config.jwks_url is not None, "there is another source of keys otherwise"
        self._url = config.jwks_url
        self._algorithms = config.algorithms
        self._refresh_interval = config.jwks_refresh_interval
        self._min_interval = config.jwks_min_interval
        self._max_age = config.jwks_max_age
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._failures = 0
        self._began_at: float | None = None
        self._fetching = False
        self._renewed: asyncio.Future[None] | None = None
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to fetch, and waits for the outcome of the first attempt, whatever it is."""
        self._wanted.set()
        self._task = asyncio.get_running_loop().create_task(self._run())
        with suppress(ServiceUnavailable):
            await self._outcome()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # --- for the verifier ---------------------------------------------------------------------------------------------

    def find(self, token: str, algorithms: list[str]) -> PublicKey:
        """As :meth:`fastcollab.server.auth.Keys.find`."""
        key_id, algorithm = header_of(token, algorithms)
        if self._keys is None or time.monotonic() - self._fetched_at > self._max_age:
            raise UnknownKey("no keys are known", reason="key")
        return self._keys.find(key_id, algorithm)

    async def renew(self) -> bool:
        """As :meth:`fastcollab.server.auth.Keys.renew`."""
        if self._task is None or self._task.done():
            raise _unavailable(self._min_interval)
        if self._fetching:
            await self._outcome()
            return False
        if self._renewed is None:
            wait = 0.0 if self._began_at is None else self._began_at + self._min_interval - time.monotonic()
            if wait > 0:
                raise _unavailable(wait)
            self._wanted.set()
        await self._outcome()
        return True

    async def _outcome(self) -> None:
        """Waits for the fetch that is under way, or else for the next one; raises what it has failed with."""
        if self._renewed is None:
            self._renewed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._renewed)

    # --- fetching -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            async with aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
                headers={"User-Agent": "fastcollab", "Accept": "application/json", "Accept-Encoding": "identity"},
                # What is compressed could be much larger than it looks.
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as http:
                while True:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._delay()):
                            await self._wanted.wait()
                    self._wanted.clear()
                    await self._fetch(http)
        finally:
            self._tell(_unavailable(self._min_interval))

    def _delay(self) -> float:
        """Seconds until the next fetch of its own accord; gateways that started together do not fetch together."""
        if not self._failures:
            return self._refresh_interval * uniform(0.9, 1.0)
        return min(_FIRST_DELAY * 2.0 ** min(self._failures - 1, 32), self._refresh_interval) * uniform(0.9, 1.0)

    async def _fetch(self, http: aiohttp.ClientSession) -> None:
        began_at = self._began_at = time.monotonic()
        self._fetching = True
        try:
            keys = KeySet(await self._download(http), self._algorithms)
            if not keys:
                # Maybe all were withdrawn, maybe it is a mistake: no token is accepted, and none called bad.
                self._keys = None
                raise ValueError("has no key that fits auth.algorithms")
        except Exception as error:
            self._failed(error)
            return
        finally:
            self._fetching = False
        if self._failures or self._keys is None:
            log.info("the keys that tokens are signed with are known", keys=len(keys))
        self._failures = 0
        self._keys, self._fetched_at = keys, began_at
        self._tell(None)

    def _failed(self, error: Exception) -> None:
        match error:
            case TimeoutError():
                why = f"the server did not answer within {_TIMEOUT:.0f} s"
            case aiohttp.ClientError() | OSError():
                # The text of such an error may have the address in it.
                why = f"the server cannot be reached: {type(error).__name__}"
            case _FetchFailedError():
                why = str(error)
            case ValueError():
                why = f"what the server answers {error}"
            case _:
                log.exception("the keys that tokens are signed with could not be fetched")
                why = type(error).__name__
        if not self._failures:
            log.error("the keys that tokens are signed with cannot be fetched", reason=why)
        self._failures += 1
        self._tell(_unavailable(self._min_interval))

    def _tell(self, error: ServiceUnavailable | None) -> None:
        renewed, self._renewed = self._renewed, None
        if renewed is None:
            return
        if error is None:
            renewed.set_result(None)
        else:
            renewed.set_exception(error)
            renewed.exception()  # maybe nobody waits

    async def _download(self, http: aiohttp.ClientSession) -> bytes:
        # To another place the keys of this one are not to come from.
        async with http.get(self._url, allow_redirects=False) as response:
            if response.status != 200:
                raise _FetchFailedError(f"the server answered with {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MAX_SET:
                    raise _FetchFailedError(f"the answer is longer than {_MAX_SET} bytes")
        return bytes(body)


def _unavailable(seconds: float) -> ServiceUnavailable:
    return ServiceUnavailable("whether the token is good cannot be said now", retryAfterMs=max(1, int(seconds * 1000)))
