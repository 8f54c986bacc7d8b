"""Rate limits as token buckets.

A bucket holds `rate × burst` tokens at most and gains `rate` of them per second; each message takes one. So a
client may send a burst after a pause, and `rate` per second in the long run. All that has to be kept of a bucket is
one number: the time at which it will be full again, if nothing is taken (the generic cell rate algorithm, ITU-T
I.371). Each token moves that time on by one *period*, and it may be ahead of the clock by as many periods as the
bucket holds.

So a bucket that is full need not be kept at all, and a :class:`RateTable` has those only of users, or of addresses, who
have sent something within the last burst. Time is an argument, in nanoseconds of a monotonic clock.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address, ip_network

from fastcollab.errors import RateLimited

SECOND = 1_000_000_000

#: How much of an IPv6 address a provider gives to one customer.
_IPV6_PREFIX = 64


class TokenBucket:
    """At most `rate` messages per second and `rate × burst` at once; `name` is what a refusal calls the limit. The time
    at which the bucket is full is kept by who asks.
    """

    __slots__ = ("_period", "_tolerance", "name", "rate")

    def __init__(self, name: str, rate: int, burst: float) -> None:
        self.name = name
        self.rate = rate
        self._period = SECOND // rate
        self._tolerance = int(self._period * max(1.0, rate * burst))

    def take(self, full_at: int, now: int, shares: int = 1) -> int:
        """Takes one token from a bucket that will be full at `full_at`; returns when it will be full then. Of a bucket
        that is one of so many `shares`, which make the rate together, each token is as dear as that many.

        Raises :class:`RateLimited` if there is none, with the time after which there will be one.
        """
        cost = self._period * shares
        full_at = max(full_at, now) + cost
        if (early := full_at - max(self._tolerance, cost) - now) > 0:
            raise RateLimited(
                f"more than {self.rate} {self.name} per second",
                limit=self.rate,
                remaining=0,
                retryAfterMs=early // 1_000_000 + 1,
            )
        return full_at


class RateTable:
    """A bucket for each key, such as a user's id or an address (:func:`address_key`).

    No more than `capacity` of them are kept. Those that are full are forgotten as others are asked for. Should more
    keys than that be in use within one burst, the one goes that was asked for longest ago: to forget a bucket is to
    fill it.
    """

    def __init__(self, name: str, rate: int, burst: float, capacity: int) -> None:
        self._bucket = TokenBucket(name, rate, burst)
        self._capacity = capacity
        #: When each is full; the one that was asked for last is at the end.
        self._full_at: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, now: int, shares: int = 1) -> None:
        """Takes a token from the bucket of `key`, one of so many shares, or raises :class:`RateLimited`."""
        table = self._full_at
        full_at = table.get(key, now)
        try:
            table[key] = self._bucket.take(full_at, now, shares)
        finally:
            # Who asks in vain is not forgotten for it.
            if key in table:
                table.move_to_end(key)
        self._forget(now)

    def _forget(self, now: int) -> None:
        """Forgets up to two full buckets, so that the table shrinks as it is used; and who is one too many."""
        table = self._full_at
        for _ in range(2):
            oldest = next(iter(table))
            if table[oldest] > now and len(table) <= self._capacity:
                return
            del table[oldest]


def address_key(host: str) -> str:
    """Whom a connection from this IP address is counted for: of IPv6 the network of 64 bits that a customer is given.

    What is no address, such as the path of a Unix socket, stands for itself.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, _IPV6_PREFIX), strict=False))
