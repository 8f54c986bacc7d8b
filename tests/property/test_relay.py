"""Relays of several nodes, joined by wires that keep the order and may lose what is on them.

Whatever happens: nobody is shown an older record of a user after a newer one; what was lost is told as a doubt, as soon
as anything comes after it; and when nothing was lost, or what is known has been announced since, everyone has the
newest record of everyone.
"""

from __future__ import annotations

from collections import deque
from itertools import permutations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.relays import Node

from fastcollab._bundle import decode_bundle
from fastcollab.core.room import RoomSettings

NAMES = [letter * 16 for letter in (b"a", b"b", b"c")]
#: The rooms' channels.
ROOMS = {"one": 0, "two": 0, "three": 1}
USERS_PER_NODE = 2

pairs = st.sampled_from(list(permutations(range(len(NAMES)), 2)))
nodes = st.integers(0, len(NAMES) - 1)
rooms = st.sampled_from(list(ROOMS))


class RelayMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        # Few records are under the limit, so that many are deferred.
        limits = RoomSettings(cursor_updates=1, cursor_burst=3)
        self.nodes = [Node(name, limits) for name in NAMES]
        self.wires: dict[tuple[int, int], deque[tuple[int, bytes]]] = {
            pair: deque() for pair in permutations(range(3), 2)
        }
        #: The number of the newest bundle that has come, by hearer, channel and sender.
        self.heard: dict[tuple[int, int, int], int] = {}
        #: Whose newest record may be missing where, since there was a loss.
        self.lost: set[tuple[int, int]] = set()
        self.x = 0
        self.newest: dict[tuple[str, int], int] = {}
        self.shown: dict[tuple[int, str, int], float] = {}
        for index, node in enumerate(self.nodes):
            for name, channel in ROOMS.items():
                room = node.open(name, channel)
                for number in range(len(NAMES) * USERS_PER_NODE):
                    here = number % len(NAMES) == index
                    room.add(number, local=here, remote=not here)

    def carry(self) -> None:
        """Puts what was published on the wires."""
        for sender, node in enumerate(self.nodes):
            for channel, bundle in node.take():
                for hearer in range(len(NAMES)):
                    if hearer != sender:
                        self.wires[sender, hearer].append((channel, bundle))

    @rule(node=nodes, room=rooms, user=st.integers(0, USERS_PER_NODE - 1), times=st.integers(1, 5))
    def move(self, node: int, room: str, user: int, times: int) -> None:
        number = node + user * len(NAMES)
        for _ in range(times):
            self.x += 1
            self.newest[room, number] = self.x
            self.nodes[node].rooms[room].move(number, self.x)
        self.carry()

    @rule(node=nodes, channel=st.sampled_from([0, 1]))
    def tell(self, node: int, channel: int) -> None:
        self.x += 1
        self.nodes[node].relay.tell(channel, str(self.x).encode())
        self.carry()

    @rule(node=nodes)
    def pass_time(self, node: int) -> None:
        self.nodes[node].loop.fire()
        self.carry()

    @rule(node=nodes)
    def beat(self, node: int) -> None:
        self.nodes[node].relay.beat([0, 1])
        self.carry()

    @rule(pair=pairs, count=st.integers(1, 5))
    def deliver(self, pair: tuple[int, int], count: int) -> None:
        sender, hearer = pair
        for _ in range(min(count, len(self.wires[pair]))):
            channel, bundle = self.wires[pair].popleft()
            node = self.nodes[hearer]
            number = decode_bundle(bundle)[1]
            last = self.heard.get((hearer, channel, sender), 0)
            node.doubts.clear()
            node.hear([(channel, bundle)])
            expected = number > last + 1
            assert node.doubts == ([(channel, NAMES[sender])] if expected else [])
            self.heard[hearer, channel, sender] = max(number, last)
        self.carry()

    @rule(pair=pairs, again=st.booleans())
    def lose(self, pair: tuple[int, int], again: bool) -> None:
        """The next bundle is lost; or it comes twice."""
        if self.wires[pair]:
            if again:
                self.wires[pair].appendleft(self.wires[pair][0])
                return
            self.wires[pair].popleft()
            self.lost.add(pair)

    @rule(node=nodes)
    def announce(self, node: int) -> None:
        for room in self.nodes[node].rooms.values():
            room.relay.announce()
        self.carry()

    @invariant()
    def nothing_older_after_newer(self) -> None:
        for index, node in enumerate(self.nodes):
            for name, room in node.rooms.items():
                for number in room.slots:
                    x = room.cursor(number) or 0
                    assert x >= self.shown.get((index, name, number), 0)
                    self.shown[index, name, number] = x

    @invariant()
    def notices_are_in_order(self) -> None:
        for node in self.nodes:
            for origin in NAMES:
                for channel in (0, 1):
                    told = [int(notice) for on, by, notice in node.notices if (on, by) == (channel, origin)]
                    assert told == sorted(set(told))

    def settle(self) -> None:
        while True:
            busy = [node.loop.fire() for node in self.nodes]
            self.carry()
            for (_, hearer), wire in self.wires.items():
                while wire:
                    self.nodes[hearer].hear([wire.popleft()])
            self.carry()
            if not any(busy) and not any(self.wires.values()):
                return

    def check_newest(self) -> None:
        for (name, number), x in self.newest.items():
            for index, node in enumerate(self.nodes):
                if (number % len(NAMES), index) not in self.lost:
                    assert node.rooms[name].cursor(number) == x, (name, number, index)

    def teardown(self) -> None:
        self.settle()
        self.check_newest()
        self.lost.clear()
        for index in range(len(NAMES)):
            self.announce(index)
        self.settle()
        self.check_newest()
        for node in self.nodes:
            node.close()


RelayMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestRelay = RelayMachine.TestCase


def test_a_record_that_is_lost_is_missed() -> None:
    """A machine that could not fail would prove nothing."""
    machine = RelayMachine()
    machine.move(0, "one", 0, 1)
    machine.wires[0, 1].clear()
    machine.settle()
    with pytest.raises(AssertionError):
        machine.check_newest()
