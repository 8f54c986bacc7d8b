"""What keeps documents: which engine, where it is, and how durable it is to be.

The engine is named by a URL, and what else can be set depends on it. So the URL is taken apart here, where a mistake in
it is told by its key, and not by the engine, which would be told of it in the middle of a start. A password in it is
never repeated, be it in what is told of a mistake or in what is shown of the configuration.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, ValidationInfo, field_validator

from fastcollab.config.section import Section

FileDurability = Literal["full", "relaxed"]
RedisKind = Literal["standalone", "sentinel", "cluster"]
RedisDurability = Literal["none", "aof", "replicas"]

_REDIS_PORT = 6379
_SENTINEL_PORT = 26379

MASK = "********"
"""What is shown in place of a secret."""

#: `unix://` is the way to a server on this machine.
_REDIS_SCHEME = re.compile(r"(?P<tls>rediss?)(?:\+(?P<kind>sentinel|cluster))?|unix")

_KINDS: Mapping[str | None, RedisKind] = {None: "standalone", "sentinel": "sentinel", "cluster": "cluster"}

_DATABASE = re.compile(r"\d{1,5}")


class RedisUrl(NamedTuple):
    """Where a Redis is. `kind` says what the addresses, pairs of host and port, are those of: the server itself, which
    has `path` instead if it is reached by a socket of this machine; Sentinels, which know where `service` is; or some
    servers of a Cluster.
    """

    kind: RedisKind
    addresses: tuple[tuple[str, int], ...]
    path: str | None = None
    service: str | None = None
    database: int = 0
    username: str | None = None
    password: str | None = None
    tls: bool = False

    def __repr__(self) -> str:
        return f"<{self.kind} {self.where}>"

    @property
    def where(self) -> str:
        """The addresses, for people."""
        return self.path or ", ".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.addresses
        )

    @classmethod
    def parse(cls, url: str) -> "RedisUrl | None":
        """The parts of a URL; None: it is of another engine. Raises ValueError, in words that follow the name of the
        setting and do not repeat a password.
        """
        scheme, separator, rest = url.partition("://")
        found = _REDIS_SCHEME.fullmatch(scheme)
        if not separator or found is None:
            return None
        if re.search(r"[\s\0-\x1f]", url):
            raise ValueError("has white space or control characters in it")
        # The addresses are taken apart here: there may be many, which no URL has otherwise.
        parts = urlsplit("//" + rest)
        if parts.query or parts.fragment:
            raise ValueError("has a part that begins with ? or #, which means nothing here; write %3F and %23")
        login, _, hosts = parts.netloc.rpartition("@")
        username, _, password = login.partition(":")
        kind = _KINDS[found["kind"]]
        made = cls(
            kind,
            (),
            username=unquote(username) or None,
            password=unquote(password) or None,
            tls=found["tls"] == "rediss",
        )
        if scheme == "unix":
            return made._in_file(parts.path, hosts)
        made = made._replace(addresses=_addresses(hosts, _SENTINEL_PORT if kind == "sentinel" else _REDIS_PORT))
        if kind == "standalone" and len(made.addresses) > 1:
            raise ValueError("names more than one server: write redis+sentinel:// or redis+cluster://")
        return made._at(parts)

    def _in_file(self, path: str, hosts: str) -> "RedisUrl":
        if hosts or path in ("", "/"):
            raise ValueError("names no socket: write unix:///path/to/redis.sock")
        return self._replace(path=unquote(path))

    def _at(self, parts: SplitResult) -> "RedisUrl":
        """With what the path says."""
        names = parts.path.strip("/").split("/") if parts.path.strip("/") else []
        service = None
        if self.kind == "sentinel":
            if not names:
                raise ValueError("names no service: write redis+sentinel://host:port,host:port/service")
            service = unquote(names.pop(0))
        if self.kind == "cluster" and names:
            raise ValueError("names a database, and a Cluster has only one")
        if len(names) > 1 or (names and not _DATABASE.fullmatch(names[0])):
            raise ValueError("ends with what is no number of a database")
        return self._replace(service=service, database=int(names[0]) if names else 0)


def _addresses(hosts: str, port: int) -> tuple[tuple[str, int], ...]:
    addresses = []
    for each in hosts.split(","):
        try:
            parts = urlsplit(f"//{each}")
            host, own_port = parts.hostname, parts.port
        except ValueError:
            host = own_port = None
        if not host or own_port == 0 or parts.netloc.endswith(":"):
            raise ValueError("names no host, or no port that there can be: write redis://host:port")
        addresses.append((host, own_port or port))
    return tuple(addresses)


class EngineConfig(Section):
    """What keeps documents and connects gateways with each other."""

    url: str = "sqlite:fastcollab.db"
    """`sqlite:///srv/documents.db` keeps documents in that file, and `sqlite:documents.db` in one that is sought from
    the working directory. `memory://` keeps them in this process, for as long as it runs. `valkey:///srv/fastcollab`
    and `valkey:fastcollab.data` keep them in that directory, by a Valkey that the gateway starts and ends: it comes
    with the extra `fastcollab[workers]`.
    `redis://user:password@host:port/0` keeps them in a Redis or Valkey, which many gateways may share: `rediss://` over
    TLS, `unix:///path` by a socket of this machine, and where there are many servers
    `redis+sentinel://host:port,host:port/service` and `redis+cluster://host:port,host:port`.
    """

    durability: Literal["full", "relaxed", "none", "aof", "replicas"] | None = None
    """Of SQLite and `valkey:`, `full`, the default: an operation is on the disk before it is acknowledged. `relaxed`:
    it outlives the end of the process in any case, but a power cut may take the last moments. Of Redis, `none`, the
    default: an operation is acknowledged when Redis has it in memory. `aof`: when it is in its append-only file on the
    disk. `replicas`: when `engine.replicas` have it too.
    """

    replicas: int = Field(default=1, ge=1, le=100)
    """How many replicas must have an operation before it is acknowledged, with the durability `replicas`."""

    prefix: str = Field(default="fastcollab", min_length=1, max_length=64)
    """What the names of all keys in Redis begin with: letters, digits and `._:-`. Gateways share what has the same."""

    timeout: float = Field(default=5.0, gt=0, le=300)
    """Seconds that Redis has for an answer, and for which a command waits for a connection."""

    channels: int = Field(default=16, ge=1, le=16_384)
    """Over how many channels of Redis gateways tell each other what happens in rooms; the same for all gateways. With
    few of them the news of many rooms travel together; with many, which pays with dozens of gateways, each hears less
    of rooms that it has nobody in.
    """

    lease: float = Field(default=15.0, gt=0, le=3600)
    """Seconds after which a gateway that has not said that it lives is taken for dead, with all its connections."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return ((name, without_password(value) if name == "url" else value) for name, value in super().__repr_args__())

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if url == "memory://" or _path("sqlite", url) or _path("valkey", url) or RedisUrl.parse(url) is not None:
            return url
        if url.startswith("sqlite:"):
            raise ValueError("names no file: write sqlite:///absolute/path.db or sqlite:relative.db")
        if url.startswith("valkey:"):
            raise ValueError(
                "names no directory: write valkey:///absolute/path or valkey:relative; a server that runs already is "
                "redis://host:port"
            )
        # A URL may carry a password after its scheme, so the rest is not repeated.
        scheme, separator, _ = url.partition("://")
        given = f"of the scheme {scheme}" if separator else "not a URL"
        raise ValueError(f"is {given}; known are memory://, sqlite:, valkey:, redis:// and its kin")

    @field_validator("durability")
    @classmethod
    def _check_durability(cls, durability: str | None, info: ValidationInfo) -> str | None:
        url = info.data.get("url")
        if durability is None or url is None:
            return durability
        engine, known = _durabilities(url)
        if durability not in known:
            takes = " or ".join(known) if known else "none at all"
            raise ValueError(f"cannot be {durability} with documents in {engine}, which takes {takes}")
        return durability

    @field_validator("prefix")
    @classmethod
    def _check_prefix(cls, prefix: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._:-]+", prefix):
            raise ValueError(f"may have letters, digits and ._:- only, and is {prefix!r}")
        return prefix

    @property
    def sqlite_path(self) -> Path | None:
        """The file of a SQLite engine; None: it is another engine."""
        path = _path("sqlite", self.url)
        return Path(path) if path else None

    @property
    def valkey_directory(self) -> Path | None:
        """Where a Valkey of the gateway's own keeps its data; None: it is another engine."""
        path = _path("valkey", self.url)
        return Path(path) if path else None

    @property
    def file_durability(self) -> FileDurability:
        """Of SQLite, and of a Valkey of the gateway's own."""
        return "relaxed" if self.durability == "relaxed" else "full"

    @property
    def redis(self) -> RedisUrl | None:
        """Where the Redis is; None: it is another engine."""
        return RedisUrl.parse(self.url)

    @property
    def redis_durability(self) -> RedisDurability:
        return self.durability if self.durability in ("aof", "replicas") else "none"


def without_password(text: str) -> str:
    """The text with the password masked of a URL that is in it."""
    return re.sub(r"(?<=://)([^/@:]*):[^/]*@", rf"\1:{MASK}@", text)


def _path(scheme: str, url: str) -> str | None:
    """The path that a URL of this scheme names; None: it is of another, or names none."""
    found = re.fullmatch(scheme + r":(?:///?(?=/))?(/?[^/\0][^\0]*)", url)
    return found[1] if found else None


def _durabilities(url: str) -> tuple[str, tuple[str, ...]]:
    """The engine's name, and which durabilities it knows."""
    if _path("sqlite", url):
        return "SQLite", ("full", "relaxed")
    if _path("valkey", url):
        return "a Valkey of its own", ("full", "relaxed")
    if url == "memory://":
        return "memory", ()
    return "Redis", ("none", "aof", "replicas")
