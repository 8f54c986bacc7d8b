"""A client for the gateway, for asyncio: join rooms, see who is there and where they point, write together.

::

    async with CollaborativeClient("ws://localhost:8080/ws", token) as client:
        room = await client.join_room("minutes", "text")
        room.on("cursor", lambda participant: print(participant.name, participant.cursor))
        room.move_cursor(120, 80)
        room.insert(0, "Agenda\\n")
        await room.saved()
"""

from fastcollab.client.connection import CollaborativeClient
from fastcollab.client.document import ClientDocument
from fastcollab.client.participants import Participant
from fastcollab.client.past import PastOperation
from fastcollab.client.reconnection import ReconnectPolicy
from fastcollab.client.room import Room
from fastcollab.client.status import Status

__all__ = ["ClientDocument", "CollaborativeClient", "Participant", "PastOperation", "ReconnectPolicy", "Room", "Status"]
