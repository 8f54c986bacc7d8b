"""Connections that are slow and get lost, in the place of sockets.

A *wire* is one WebSocket: two pipes, each of which delivers what is sent in its order, each piece after a time of its
own. When a wire is cut, a part of what is under way still arrives and the rest never does, and each end learns of it in
its own time: the gateway perhaps only after the client has come back.

On the gateway's side a wire ends in a `Shell`, which has the place of `server._listener.Connection` and does what that
does with whole text messages. Frames, sizes, slow readers and cursors are not simulated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import orjson
from tests.simulation.world import Machine, World

from fastcollab.errors import CloseCode

if TYPE_CHECKING:
    from tests.simulation.gateway import GatewayProcess
    from tests.simulation.referee import Referee

Message = dict[str, Any]


class Letter(NamedTuple):
    """A text message on its way, also as it reads; nobody changes that."""

    text: bytes
    message: Message


class Farewell(NamedTuple):
    """A close frame."""

    code: int


class Endpoint(Protocol):
    """The client's end of a wire."""

    machine: Machine

    @property
    def epoch(self) -> str:
        """The life of the document that the client knows."""
        ...

    def received(self, letter: Letter) -> None: ...

    def closed(self, code: int) -> None:
        """The connection has ended, with the code of the gateway's close frame or 1006."""
        ...


class Pipe:
    """One direction of a wire."""

    def __init__(self, world: World, latency: float, receiver: Machine, deliver: Callable[[Any], None]) -> None:
        self._world = world
        self._latency = latency
        self._receiver = receiver
        self._deliver = deliver
        self._last_arrival = 0.0
        self.under_way: deque[Letter | Farewell] = deque()
        self.is_cut = False

    def send(self, item: Letter | Farewell) -> None:
        if self.is_cut:
            return
        world = self._world
        delay = world.random.expovariate(1 / self._latency) if world.happens(0.7) else 0.0
        self._last_arrival = max(self._last_arrival, world.now + delay)
        self.under_way.append(item)
        self._receiver.call_at(self._last_arrival, self._arrive)

    def cut(self, arriving: int) -> list[Letter | Farewell]:
        """Of what is under way only so many still arrive; returns the others."""
        self.is_cut = True
        return [self.under_way.pop() for _ in range(len(self.under_way) - arriving)][::-1]

    def _arrive(self) -> None:
        if self.under_way:
            self._deliver(self.under_way.popleft())


class Wire:
    """One connection, from the moment in which the client's request leaves."""

    def __init__(self, network: Network, gateway: GatewayProcess, endpoint: Endpoint, token: str, previous: str | None):
        world = network.world
        self._world = world
        self._endpoint = endpoint
        self._referee = network.referee
        self.shell = Shell(self, gateway, network.referee, token, previous)
        self.up = Pipe(world, network.latency, gateway.machine, self._arrived_above)
        self.down = Pipe(world, network.latency, endpoint.machine, self._arrived_below)
        self.client_is_gone = False
        self._said = network.said.setdefault(token, [])

    @property
    def epoch(self) -> str:
        """The life of the document that the client knows."""
        return self._endpoint.epoch

    @property
    def is_open(self) -> bool:
        return not (self.client_is_gone or self.up.is_cut)

    def send(self, text: bytes) -> None:
        """The client sends a message."""
        letter = Letter(text, orjson.loads(text))
        if letter.message["type"] == "operation":
            self._said.append((self.epoch, text))
        self._referee.client_sent(self, letter.message)
        self.up.send(letter)

    def say_farewell(self, code: int) -> None:
        """The client closes the connection, and reads no more."""
        self.client_is_gone = True
        self.up.send(Farewell(code))

    def cut(self, *, noticed_above: float, noticed_below: float) -> None:
        """The connection is lost; its ends notice after these times, in seconds."""
        if self.up.is_cut:
            return
        random = self._world.random
        self._referee.cut(self)
        self.up.cut(random.randint(0, len(self.up.under_way)))
        self.down.cut(random.randint(0, len(self.down.under_way)))
        machine = self.shell.gateway.machine
        machine.call_later(noticed_above, self.shell.end, False)
        self._endpoint.machine.call_later(noticed_below, self._end_below, CloseCode.ABNORMAL)

    def _arrived_above(self, item: Letter | Farewell) -> None:
        if isinstance(item, Farewell):
            self.shell.end(item.code == CloseCode.NORMAL)
        else:
            self.shell.received(item)

    def _arrived_below(self, item: Letter | Farewell) -> None:
        if self.client_is_gone:
            return
        if isinstance(item, Farewell):
            self.up.send(Farewell(item.code))
            self._end_below(item.code)
        else:
            self._referee.client_received(self, item.message)
            self._endpoint.received(item)

    def _end_below(self, code: int) -> None:
        if not self.client_is_gone:
            self.client_is_gone = True
            self._endpoint.closed(code)


class Shell:
    """The gateway's end of a wire: what the dispatcher takes for a connection, and for its outbox."""

    batched = sends_binary = False
    errors = reconnections = 0
    close_code = CloseCode.NORMAL

    def __init__(self, wire: Wire, gateway: GatewayProcess, referee: Referee, token: str, previous: str | None) -> None:
        self.wire = wire
        self.gateway = gateway
        self.token: str | None = token
        self.previous = previous
        self.session: Any = None
        self.inbox: deque[Any] | None = None
        self.members: dict[Any, Any] = {}
        self.open = False
        self.ended = False
        self._world = gateway.machine.world
        self._referee = referee

    @property
    def outbox(self) -> Shell:
        return self

    def connected(self) -> None:
        if not self.ended:
            self.open = True
            self.gateway.dispatcher.opened(self)  # type: ignore[arg-type]

    def received(self, letter: Letter) -> None:
        if self.open:
            self._referee.gateway_received(self, letter.message)
            self.gateway.dispatcher.text(self, letter.text.decode())  # type: ignore[arg-type]

    def send_text(self, text: bytes) -> None:
        if self.open:
            message = orjson.loads(text)
            with self._world.judging():
                self._referee.gateway_sent(self, message)
            self.wire.down.send(Letter(text, message))

    def close(self, code: int, reason: str = "") -> None:
        if self.open:
            self.open = False
            self._referee.gateway_closes(code)
            self.wire.down.send(Farewell(code))
            self.gateway.dispatcher.closing(self, False)  # type: ignore[arg-type]

    def abort(self) -> None:
        self.end(False)

    def end(self, farewell: bool) -> None:
        """The connection is gone, as far as the gateway knows."""
        if not self.ended:
            was_opened = self.session is not None
            self.open, self.ended = False, True
            if was_opened:
                self._referee.connection_ended(self, farewell)
                self.gateway.dispatcher.closed(self, farewell)  # type: ignore[arg-type]

    def activate(self, member: Any) -> None:
        pass  # cursors are not simulated

    def charge(self, price: float) -> int:
        return 0  # nor does anyone send that much

    def pause_reading(self) -> None:
        pass  # inboxes do not grow long here

    def resume_reading(self) -> None:
        pass


def deliver(recipients: Sequence[Any], text: bytes) -> list[Shell]:
    """In the place of `server._listener.deliver`: sends to the shells of sessions; none reads too slowly."""
    for session in recipients:
        if session.shell is not None:
            session.shell.send_text(text)
    return []


class Network:
    """What clients dial; `gateway` is the process that is up, if one is. `latency` is the mean one, in seconds."""

    def __init__(self, world: World, referee: Referee, latency: float) -> None:
        self.world = world
        self.referee = referee
        self.latency = latency
        self.gateway: GatewayProcess | None = None
        self.wires: list[Wire] = []
        #: The operations that each user's devices have sent, each with the life that it was written in.
        self.said: dict[str, list[tuple[str, bytes]]] = {}

    def dial(self, endpoint: Endpoint, token: str, previous: str | None) -> Wire:
        """A new connection, on which the client may send at once. Raises OSError if no gateway is up."""
        gateway = self.gateway
        if gateway is None:
            raise ConnectionRefusedError("no gateway is up")
        wire = Wire(self, gateway, endpoint, token, previous)
        self.wires.append(wire)
        self.referee.dialled(wire)
        gateway.machine.call_soon(wire.shell.connected)
        return wire

    def cut_all(self) -> None:
        """The gateway is gone, and with it all connections."""
        for wire in self.wires:
            wire.shell.open = False
            wire.cut(noticed_above=0.0, noticed_below=self.world.random.uniform(0.0, 0.5))
        self.wires.clear()
