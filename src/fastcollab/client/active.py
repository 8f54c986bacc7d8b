"""Which room a binary frame belongs to: frames of ``fastcollab.v1`` name none, and mean the active one (R3).

The two ends of a connection do not change their minds at the same moment, so each direction has its own answer:

- What is sent next goes to the room that will be active once the gateway has read all that was sent before. That is
  certain after an ``activate_room``, and after a ``room_joined`` that no later request has overtaken. While it is not
  certain, a frame has to be preceded by ``activate_room``.
- What is received belongs to the room that was active when the gateway sent it, which its answers to join, activate and
  leave tell, since they come in order with the frames.
"""

from __future__ import annotations


class ActiveRoom:
    """The active room of one connection, as seen from the client's end."""

    def __init__(self) -> None:
        self._for_sending: str | None = None
        self._activations: dict[str, str] = {}  # rooms by the ids of the messages that activate them
        self._joined: list[str] = []  # all rooms that were joined, the one activated last at the end

    def __contains__(self, room_id: str) -> bool:
        """Whether the room is joined at all."""
        return room_id in self._joined

    @property
    def for_sending(self) -> str | None:
        """Where a frame goes that is sent now; None if that is not certain."""
        return self._for_sending

    @property
    def for_received(self) -> str | None:
        """Where a frame comes from that is received now; None if no room is joined."""
        return self._joined[-1] if self._joined else None

    def forget(self) -> None:
        """The connection has ended."""
        self._for_sending = None
        self._activations.clear()
        self._joined.clear()

    def becomes_uncertain(self) -> None:
        """A request to join or leave a room was sent, which may fail."""
        self._for_sending = None

    def activation_sent(self, room_id: str, message_id: str) -> None:
        self._activations[message_id] = room_id
        self._for_sending = room_id

    def activation_acknowledged(self, message_id: str) -> bool:
        """False if ``message_id`` is no activation."""
        room_id = self._activations.pop(message_id, None)
        if room_id in self._joined:
            self._move_to_end(room_id)
        return room_id is not None

    def activation_refused(self, message_id: str) -> None:
        if self._activations.pop(message_id, None) is not None:
            self._for_sending = None

    def joined(self, room_id: str, *, more_to_come: bool) -> None:
        """``room_joined``; ``more_to_come`` says that another room was asked for since."""
        self._move_to_end(room_id)
        if self._for_sending is None and not more_to_come:
            self._for_sending = room_id

    def left(self, room_id: str) -> None:
        if room_id in self._joined:
            self._joined.remove(room_id)
        if self._for_sending == room_id:
            self._for_sending = None

    def _move_to_end(self, room_id: str) -> None:
        if room_id in self._joined:
            self._joined.remove(room_id)
        self._joined.append(room_id)
