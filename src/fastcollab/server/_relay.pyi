from collections.abc import Callable, Iterable, Set
from typing import final

from .._binary import RecordBatch, RecordSlot
from ..core.room import Room
from ._fanout import Channel, FlushPacer
from ._pump import Pump, Task

@final
class RoomRelay:
    """The records of one room on their way to other nodes and from there. Made by :meth:`Relay.open`."""

    shared: bool
    """Whether other nodes have participants in the room, so that what is put here is for them too. At first false. What
    waits to leave is dropped when it becomes false; nothing is announced when it becomes true.
    """

    def add_local(self, cursor: RecordSlot, selection: RecordSlot) -> None:
        """A participant takes part through this node: its records that are put here go to the others while the room is
        shared.
        """

    def remove_local(self, cursor: RecordSlot, selection: RecordSlot) -> None:
        """The participant takes part through this node no more. That it never did, is no error."""

    def add_remote(self, cursor: RecordSlot, selection: RecordSlot) -> None:
        """A participant takes part through another node, and perhaps here as well: its records are taken from there.

        The slots have to be in the room's batches for as long. Raises ValueError if there is one of that number.
        """

    def remove_remote(self, cursor: RecordSlot, selection: RecordSlot) -> None:
        """The participant takes part through no other node any more; raises ValueError if it did not."""

    def announce(self) -> None:
        """Has all records that are known of local participants go into the next bundle, for a node that has just come.
        Those that came from another node itself are left out. Does nothing unless the room is shared.
        """

    def close(self) -> None:
        """Ends it: nothing more leaves, and what comes is skipped. May be called again."""

@final
class Relay(Task):
    """Gathers the records and notices of all rooms into bundles, and takes those of other nodes apart.

    `node` is this node's id, 16 bytes that no other ever has. `pacer` says how long records wait, by the number of
    bundles of the last flush; it may be the one of the rooms. The functions, none of which may block:

    `publish(bundles)`
        sends bundles, `(channel, bytes)` each, as :meth:`fastcollab.ports.Bus.publish` does.
    `notice(channel, node, notice)`
        a notice of another node, in the order in which that one has told it, and before the records that are in the
        same bundle: those of a participant who has just come are of use only then.
    `doubt(channel, node)`
        bundles of that node on the channel may have been missed, be it before the first that is heard of it there.
    `echoed(channel, number, time)`
        a bundle of this node has come back; `time` is when it was made (Unix time, us).
    `selected(room, slot, anchor, head, version)`
        a selection was made by a frame at another node, at that version of the document, and will go to those members
        that get frames. `slot` is the participant's for selections.

    An exception in any of them is logged, and what comes after is done nevertheless.
    """

    def __init__(
        self,
        node: bytes,
        pump: Pump,
        pacer: FlushPacer,
        *,
        publish: Callable[[list[tuple[int, bytes]]], object],
        notice: Callable[[int, bytes, bytes], object],
        doubt: Callable[[int, bytes], object],
        echoed: Callable[[int, int, int], object],
        selected: Callable[[Room, RecordSlot, int, int, int], object],
    ) -> None: ...
    def open(
        self, room_id: str, channel: int, cursors: RecordBatch, selections: RecordBatch, fanout: Channel
    ) -> RoomRelay:
        """Relays a room, whose records go over that channel of the bus. Raises ValueError if it is relayed already."""

    def tell(self, channel: int, notice: bytes) -> None:
        """Has a notice go out: at once, or a millisecond after the last flush. Those on one channel keep their order.

        Raises ValueError if it has more than `_bundle.LARGEST_NOTICE` bytes.
        """

    def beat(self, channels: Iterable[int]) -> None:
        """Publishes an empty bundle on each of the channels that needs one; to be called once a second with those that
        are heard. It follows the last bundle that was not empty, until one has come back, so that those who hear them
        notice what was lost; and it breaks a silence, so that this node notices whether it hears anything. None is
        needed where something was published since the last call.
        """

    def owes_echo(self, channel: int) -> bool:
        """Whether the newest bundle that was published on the channel has not come back."""

    def receive(self, channel: int, bundle: bytes) -> None:
        """Takes a bundle that was heard on the channel, from whichever node. What is no bundle is logged and skipped,
        and so is, without a word, one that is no newer than the last one of its node.
        """

    def forget_others(self, nodes: Set[bytes]) -> None:
        """There are no other nodes than these: the numbers of all others are forgotten."""

    def forget_channel(self, channel: int) -> None:
        """The channel is not heard any more: the numbers of all nodes on it are forgotten."""

    def close(self) -> None:
        """Ends all: nothing is published or taken any more. What waits is sent before."""
