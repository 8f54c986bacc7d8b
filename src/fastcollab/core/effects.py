"""What the core wants done: the only way in which its rules reach sockets, clocks and stores.

A method of the core returns a list of these; the shell carries them out in their order. :class:`Verify`,
:class:`Enter` and :class:`LookBack` ask for something that may take time: the shell calls back with the result, and
messages of the connection that come meanwhile wait. For :class:`Commit` and :class:`Validate` nobody waits.
:class:`Placed` and :class:`Relay` matter where there are other nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from fastcollab.core.notices import Notice
from fastcollab.errors import CloseCode, ProtocolError
from fastcollab.messages import Connect, JoinRoom, PastMessage, RefreshToken, ServerPayload

if TYPE_CHECKING:
    from fastcollab.core.commits import Errand
    from fastcollab.core.presence import Participant
    from fastcollab.core.room import Room
    from fastcollab.core.session import Session


class Send(NamedTuple):
    """Send one message to each of the sessions; `room_id` is the room that it concerns."""

    recipients: Sequence[Session]
    payload: ServerPayload
    room_id: str | None = None


class Answer(NamedTuple):
    """Tell whoever waits for the errand what became of its operation: a version, or the error that refused it."""

    errand: Errand
    result: int | ProtocolError


class Close(NamedTuple):
    """Close the connection, after what has been sent to it."""

    session: Session
    code: CloseCode
    reason: str


class Verify(NamedTuple):
    """Verify the token in `message`, then call `session.verified`, or `session.refused` with the error.

    A session that is in rooms is then validated, before its next message.
    """

    session: Session
    message: Connect | RefreshToken


class Validate(NamedTuple):
    """Find out whether the token was revoked, and what its user may do in each of the rooms; then call
    `session.revoked`, or `session.validated`.
    """

    session: Session


class Enter(NamedTuple):
    """Find out what the user may do in the room and open its document, then call `room.enter`."""

    session: Session
    message: JoinRoom


class LookBack(NamedTuple):
    """Answer a question about the past of the room's document, or bring the past back."""

    session: Session
    room: Room
    message: PastMessage


class Commit(NamedTuple):
    """The room has operations that wait: stage them, have the store append them, and call `room.committed`."""

    room: Room


class Flush(NamedTuple):
    """The room has cursors or selections for its members that are due at `due` (ns, monotonic)."""

    room: Room
    due: int


class Wake(NamedTuple):
    """Call `room.tick` at `at` (ns, monotonic), and from then on whenever `room.next_due` says."""

    room: Room
    at: int


class Entered(NamedTuple):
    """The session is a member of the room now, and binary frames go there (R3)."""

    session: Session
    room: Room


class Left(NamedTuple):
    """The session is no member of the room any more."""

    session: Session
    room: Room


class Placed(NamedTuple):
    """The participant takes part here, or through other nodes, where it did not, or no more where it did."""

    room: Room
    participant: Participant


class Relay(NamedTuple):
    """Other nodes with members of the room are to be told; `participant` is whose presence it changes, if it does."""

    room: Room
    notice: Notice
    participant: Participant | None = None


class Activated(NamedTuple):
    """Binary frames of the session go to this room from now on."""

    session: Session
    room: Room


Effect = (
    Send
    | Answer
    | Close
    | Verify
    | Validate
    | Enter
    | LookBack
    | Commit
    | Flush
    | Wake
    | Entered
    | Left
    | Activated
    | Placed
    | Relay
)
