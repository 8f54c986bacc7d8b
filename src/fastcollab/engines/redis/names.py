"""What keys are called.

A key's name begins with the prefix of the cluster and a *hash tag* in braces, by which a Redis Cluster says on which of
its servers the key is. All keys of a room have the same tag, so that one script can use them all; and rooms share 256
tags, so that what is looked through for all rooms, such as a list of documents, is as many keys. The name of a room or
user comes last, in UTF-8 and as it is: the tag is the first thing in braces, and nothing in a name can mean another.

::

    fastcollab:{r17}:log:plans          of a room
    fastcollab:{r17}:documents          of all rooms with this tag
    fastcollab:{u203}:connections:ada   of a user
    fastcollab:{cluster}:leases         of the cluster
    fastcollab:{b5}:bus                 a channel of the bus
"""

from __future__ import annotations

from zlib import crc32

#: How many tags there are for rooms, and how many for users.
TAGS = 256


class Names:
    """The names of keys with one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = f"{prefix}:".encode()
        self._rooms = [f"{prefix}:{{r{number}}}:".encode() for number in range(TAGS)]
        self._users = [f"{prefix}:{{u{number}}}:".encode() for number in range(TAGS)]
        self._cluster = f"{prefix}:{{cluster}}:".encode()

    def room(self, room_id: str, *kinds: str) -> list[bytes]:
        """What belongs to a room, by kind."""
        name = room_id.encode()
        tag = self._rooms[crc32(name) % TAGS]
        return [b"%b%b:%b" % (tag, kind.encode(), name) for kind in kinds]

    def roster(self, room_id: str) -> bytes:
        """Who takes part in the room; there is none if nobody does."""
        return self.room(room_id, "roster")[0]

    def around(self, room_id: str, kind: str) -> tuple[bytes, bytes]:
        """What stands before and after a token in the names of what a room has many of."""
        name = room_id.encode()
        return b"%b%b:" % (self._rooms[crc32(name) % TAGS], kind.encode()), b":" + name

    def beside(self, room_id: str, *kinds: str) -> list[bytes]:
        """What all rooms with the tag of this one share, by kind."""
        tag = self._rooms[crc32(room_id.encode()) % TAGS]
        return [tag + kind.encode() for kind in kinds]

    def shared(self, kind: str) -> list[bytes]:
        """That of all rooms, a key for each tag."""
        return [tag + kind.encode() for tag in self._rooms]

    def user(self, user_id: str, *kinds: str) -> list[bytes]:
        """What belongs to a user, by kind."""
        name = user_id.encode()
        tag = self._users[crc32(name) % TAGS]
        return [b"%b%b:%b" % (tag, kind.encode(), name) for kind in kinds]

    def beside_user(self, user_id: str, *kinds: str) -> list[bytes]:
        """What all users with the tag of this one share, by kind."""
        tag = self._users[crc32(user_id.encode()) % TAGS]
        return [tag + kind.encode() for kind in kinds]

    def shared_by_users(self, kind: str) -> list[bytes]:
        """That of all users, a key for each tag."""
        return [tag + kind.encode() for tag in self._users]

    def number(self, number: int) -> bytes:
        """Who holds a number; users with different tags may want the same one."""
        return b"%bnumber:%d" % (self._users[number % TAGS], number)

    def bus(self, channel: int) -> bytes:
        """A channel of the bus. (Those of all databases of a server are the same.)"""
        return b"%b{b%d}:bus" % (self._prefix, channel)

    def cluster(self, kind: str) -> bytes:
        """What there is once."""
        return self._cluster + kind.encode()
