"""Lua scripts, which a server carries out as one command: all of it, with nothing else in between.

They are in files of their own beside this module. What several have in common is in files that begin with an
underscore, and stands in front of them.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import NamedTuple


class Script(NamedTuple):
    """A script, and the digest by which a server that has seen it knows it."""

    name: str
    source: bytes
    digest: str


@cache
def load(name: str, *shared: str) -> Script:
    """The script of that name, behind the shared parts that it needs."""
    directory = files(__package__) / "scripts"
    source = b"".join((directory / f"{part}.lua").read_bytes() for part in (*shared, name))
    return Script(name, source, sha1(source, usedforsecurity=False).hexdigest())
