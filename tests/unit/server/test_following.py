"""Two nodes that commit to one document: what each is told of the other, in every order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from msgspec import UNSET
from tests.builders import new_room, session_of, submission

from fastcollab.core.document import Committed, DocumentLimits
from fastcollab.core.effects import Effect, Send
from fastcollab.core.room import Room
from fastcollab.engines.memory import MemoryDocuments
from fastcollab.messages import Ack, ErrorSent, OperationBroadcast
from fastcollab.ports import Retention
from fastcollab.server.committer import Committer
from fastcollab.server.documents import Documents
from fastcollab.server.tallies import Tallies


class SlowDocuments(MemoryDocuments):
    """A store that has to be waited for, so that others come in between."""

    async def append(  # type: ignore[override]
        self, room_id: str, epoch: str, entries: Sequence[Committed], mark: str = ""
    ) -> None:
        await asyncio.sleep(0)
        await super().append(room_id, epoch, list(entries), mark)
        await asyncio.sleep(0)


class Node:
    def __init__(self, store: MemoryDocuments) -> None:
        self.answers: list[Any] = []
        self.told: list[tuple[Room, str, list[Committed], dict[int, str]]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.committer = Committer(
            Documents(store, DocumentLimits(), Retention()),
            carry_out=self.carry_out,
            run=self.run,
            retire=lambda _room: None,
            changed=lambda _room_id: None,
            tallies=Tallies(),
            committed=lambda room, mark, *committed: self.told.append((room, mark, *committed)),
        )
        self.documents = Documents(store, DocumentLimits(), Retention())
        self.ada = session_of("ada")

    def carry_out(self, effects: list[Effect]) -> None:
        self.answers += [effect.payload for effect in effects if isinstance(effect, Send)]

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(coroutine))

    async def open(self) -> None:
        document = await self.documents.open("plans", "text")
        self.room = new_room("plans", document=document)
        self.room.members[self.ada] = 3  # type: ignore[assignment]  # somebody who is told

    def write(self, text: str, message_id: str, version: int | None = None) -> None:
        version = self.room.document.version if version is None else version
        self.room.commits.add(self.ada, submission([text], version, message_id))
        self.committer.commit(self.room)

    async def idle(self) -> None:
        await self.committer.idle.wait()

    def hear(self, told: tuple[Room, str, list[Committed], dict[int, str]]) -> bool:
        room, mark, entries, traceparents = told
        return self.committer.follow(self.room, room.document.epoch, entries[-1].version, mark, entries, traceparents)

    def broadcasts(self) -> list[int]:
        return [each.transformed_version for each in self.answers if isinstance(each, OperationBroadcast)]


@pytest.fixture
async def nodes() -> tuple[Node, Node]:
    store = SlowDocuments()
    pair = Node(store), Node(store)
    for node in pair:
        await node.open()
    return pair


async def test_what_the_other_has_committed_is_taken_in_and_told_OT3(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    one.write("a", "m1")
    await one.idle()
    assert other.hear(one.told[0])
    assert other.room.document.content == "a"
    assert other.broadcasts() == [1]
    assert other.hear(one.told[0])  # twice does no harm
    assert other.broadcasts() == [1]


async def test_an_operation_is_told_elsewhere_with_its_place_in_a_trace_TC1(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    given = f"00-{'1' * 32}-{'2' * 16}-01"
    for traceparent, message_id in ((None, "m1"), (given, "m2"), (f"00-{'3' * 32}-{'4' * 16}-01", "m2")):
        one.room.commits.add(one.ada, submission(["a"], 0, message_id, traceparent=traceparent))
    one.committer.commit(one.room)
    await one.idle()
    [told] = one.told
    assert told[-1] == {2: given}  # the last is the second once more
    assert other.hear(told)
    broadcasts = [each for each in other.answers if isinstance(each, OperationBroadcast)]
    assert [each.traceparent for each in broadcasts] == [UNSET, given]


async def test_a_gap_is_not_taken_for_what_follows(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    for message_id in ("m1", "m2"):
        one.write("a", message_id)
        await one.idle()
    assert not other.hear(one.told[1])
    assert other.room.document.version == 0
    other.committer.catch_up(other.room)
    await other.idle()
    assert other.room.document.content == "aa"
    assert other.broadcasts() == [1, 2]


async def test_another_entry_in_the_place_of_the_one_known_is_noticed(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    one.write("a", "m1")
    await one.idle()
    assert other.hear(one.told[0])
    room, _mark, entries, _traceparents = one.told[0]
    follows = [Committed(2, ["b"], "ada", 1, "m2", 1, 0, 5)]
    assert not other.committer.follow(other.room, room.document.epoch, 2, "0:another", follows)
    assert other.committer.follow(other.room, room.document.epoch, 2, entries[0].mark, follows)


async def test_news_of_another_life_is_not_taken_in(nodes: tuple[Node, Node]) -> None:
    _one, other = nodes
    entries = [Committed(1, ["b"], "ada", 1, "m2", 0, 0, 5)]
    assert not other.committer.follow(other.room, "another epoch", 1, "", entries)
    assert other.room.document.version == 0


async def test_news_that_comes_while_a_batch_is_under_way_waits_for_its_end(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    one.write("a", "m1")
    await one.idle()
    other.write("b", "m2")
    assert other.hear(one.told[0])
    assert other.room.document.version == 0
    await other.idle()
    assert other.room.document.content == "ba"  # the newcomer's on the left (OT2)
    assert [(each.message_id, each.version) for each in other.answers if isinstance(each, Ack)] == [("m2", 2)]
    assert other.broadcasts() == [1]


async def test_who_comes_from_the_other_node_may_be_ahead_of_the_news_OT6(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    one.write("a", "m1")
    await one.idle()
    other.write("b", "m2", version=1)
    await other.idle()
    assert other.room.document.content == "ba"
    assert [(each.message_id, each.version) for each in other.answers if isinstance(each, Ack)] == [("m2", 2)]


async def test_a_version_that_nobody_has_is_refused_OT6(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    one.write("a", "m1")
    await one.idle()
    other.write("b", "m2", version=2)
    other.write("c", "m3", version=0)
    await other.idle()
    assert other.room.document.content == "ca"
    assert [each.code for each in other.answers if isinstance(each, ErrorSent)] == [3002]


async def test_what_a_client_has_seen_elsewhere_is_read_before_it_enters_OT9(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    one.write("a", "m1")
    await one.idle()
    await other.committer.reach(other.room, 1)
    assert (other.room.document.version, other.broadcasts()) == (1, [1])
    await other.committer.reach(other.room, 7)  # nobody has it
    assert other.room.document.version == 1
    # While a batch is under way, too.
    one.write("b", "m2")
    other.write("c", "m3")
    await other.committer.reach(other.room, 2)
    assert other.room.document.version >= 2
    await one.idle()
    await other.idle()


@pytest.mark.parametrize("seed", range(40))
async def test_both_come_to_the_same_in_any_order(nodes: tuple[Node, Node], seed: int) -> None:
    chance = random.Random(seed)
    heard = {id(node): 0 for node in nodes}
    written = 0
    for _step in range(60):
        node, other = chance.sample(nodes, 2)
        action = chance.random()
        if action < 0.5:
            written += 1
            node.write(chr(97 + written % 26), f"m{written}", chance.randint(0, node.room.document.version))
        elif action < 0.8 and heard[id(node)] < len(other.told):
            told = other.told[heard[id(node)]]
            heard[id(node)] += 1
            if chance.random() < 0.8 and not node.hear(told):  # some are lost
                node.committer.catch_up(node.room)
        else:
            await asyncio.sleep(0)
    for node in nodes:
        await node.idle()
    for node in nodes:
        node.committer.catch_up(node.room)
        await node.idle()
    first, second = (node.room.document for node in nodes)
    assert first.content == second.content
    assert first.version == second.version == written
    for node in nodes:
        assert not [each for each in node.answers if isinstance(each, ErrorSent)]
        acknowledged = [each.version for each in node.answers if isinstance(each, Ack)]
        assert sorted({*acknowledged, *node.broadcasts()}) == list(range(1, written + 1))
        assert node.broadcasts() == sorted(set(node.broadcasts()))
