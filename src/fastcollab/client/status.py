"""How things stand, in one word: of a client, and of a room with its document."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What a program shows its user. A client knows the first, second and last; a room knows all.

    ``connecting``
        Of a client: there is no connection, and one is being made, for the first time or again after a loss.
        Of a room: its copy is not in step with the gateway: the connection is away, the answer to joining (again) has
        not come, or operations that were missed are still arriving. Edits are kept meanwhile.
    ``connected``
        Of a client: the gateway has accepted the token, and the connection is up.
        Of a room: in step, and this client has written nothing yet that the gateway has taken.
    ``saving``
        In step, and the gateway has not acknowledged all that was edited here.
    ``saved``
        In step, and the gateway has acknowledged all that was edited here.
    ``closed``
        Of a client: not connected, and not going to be until ``connect`` is called.
        Of a room: it was left, it could not be joined again, or its client is closed.
    """

    CONNECTING = "connecting"
    CONNECTED = "connected"
    SAVING = "saving"
    SAVED = "saved"
    CLOSED = "closed"
