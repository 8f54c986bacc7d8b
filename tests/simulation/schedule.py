"""A schedule: what happens to a document, its writers and its gateway, made from a seed.

A handful of devices write one document, of any type, while connections and gateways are lost, the store fails, the
history is trimmed, and others reach into the store. The gateway, from its dispatcher to its core, and the package's
client are the real ones; time, sockets and the store's distance are simulated (`world`, `network`, `storage`), and so
one seed is one run, always. Nothing is said here of what happens below a text message: WebSocket frames, slow readers,
cursors (the tests of the server see to these), nor of what a disk keeps (`tests.durability` does).

While a schedule runs the `referee` watches. At its end the weather clears, and all copies must come together in what
the log of the store leads to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from tests.generators import json1, rich_text, text
from tests.simulation.devices import ROOM, NaiveDevice, Parrot
from tests.simulation.gateway import GRACE, GatewayProcess
from tests.simulation.network import Network
from tests.simulation.package import PackageDevice, inhabited
from tests.simulation.referee import Referee
from tests.simulation.storage import DistantDocuments, Ledger, RecordedDocuments, Weather
from tests.simulation.world import Machine, World

from fastcollab import ot
from fastcollab.core.document import Committed, DocumentLimits
from fastcollab.ports import Retention

Action = Callable[[], None]


class SimulationFailed(AssertionError):
    """Names the seed, and how to see it again."""

    def __init__(self, seed: int, error: BaseException) -> None:
        super().__init__(f"{error!r}\nSeen again by: python -m tests.simulation --seed {seed}")


def simulate(seed: int, look_at: Callable[[Schedule], None] = lambda schedule: None) -> Counter[str]:
    """Runs the schedule of the seed, and returns how often which rare thing happened."""
    schedule = Schedule(seed)
    look_at(schedule)
    try:
        with inhabited(schedule.network):
            schedule.run()
    except Exception as error:
        raise SimulationFailed(seed, error) from error
    finally:
        schedule.end()
    return schedule.world.tally


class Schedule:
    def __init__(self, seed: int) -> None:
        self.world = world = World(seed)
        self.random = random = world.random
        self.type_name = random.choice(sorted(ot.types.keys() & {"text", "json1", "rich-text"}))
        self.ledger = Ledger()
        self.store = RecordedDocuments(world, self.ledger)
        failing = random.choice((0.0, 0.0, 0.02, 0.15))
        self.weather = Weather(random.choice((0.002, 0.02, 0.1)), failing, failing)
        window = random.choice((4, 8, 20, 1_000))
        self.limits = DocumentLimits(
            operations=window,
            cached_operations=random.choice((1, 3, 8, 1_000)),
            snapshot_operations=random.choice((2, 5, 10, 1_000)),
            max_document_bytes=random.choice((60, 200, 10**6, 10**6, 10**6)),
        )
        self.retention = Retention(operations=window)
        self.referee = Referee(self.ledger, world.tally, lambda: world.now, window)
        self.network = Network(world, self.referee, random.choice((0.002, 0.01, 0.05)))
        self.keeper = Machine(world)  # what happens outside of the gateway and the devices happens here
        self.gateway: GatewayProcess
        self.distant: DistantDocuments
        self.devices: list[NaiveDevice | PackageDevice] = []
        self.parrots: list[Parrot] = []

    def run(self) -> None:
        self.world.tally[f"the document is of type {self.type_name}"] += 1
        self.start_gateway()
        users = ("ada", "bob", "eve")
        for number in range(self.random.randint(2, 4)):
            kind = self.random.choice((NaiveDevice, PackageDevice))
            self.devices.append(kind(self.network, users[number % 3], self.type_name))
        if self.world.happens(0.5):
            self.parrots.append(Parrot(self.network, users[self.random.randrange(2)], self.type_name))
        deeds, weights = zip(*self.actions().items(), strict=True)
        for _ in range(self.random.randint(20, 50)):
            self.world.pass_time(self.random.expovariate(1 / 0.04))
            self.random.choices(deeds, weights)[0]()
        self.settle()

    def end(self) -> None:
        self.network.cut_all()
        self.gateway.crash()
        for machine in (self.keeper, *(device.machine for device in (*self.devices, *self.parrots))):
            machine.switch_off()

    def actions(self) -> dict[Action, float]:
        """What may happen next, each with its weight."""
        return {
            self.edit: 50,
            self.edit_on: 5,
            self.undo: 3,
            self.lose: 8,
            self.leave: 2,
            self.all_leave: 0.3,
            self.crash: 2,
            self.snapshot: 4,
            self.others_write: 2,
            self.others_replace: 0.5,
            self.restore: 2,
            self.repeat: 4,
            self.echo: 5,
            self.pause: 1,
        }

    # --- what the devices do ------------------------------------------------------------------------------------------

    def edit(self) -> None:
        self.random.choice(self.devices).edit(self.author)

    def edit_on(self) -> None:
        device = self.random.choice(self.devices)
        for _ in range(self.random.randint(2, 6)):
            device.edit(self.author)

    def undo(self) -> None:
        self.some(PackageDevice, PackageDevice.undo)

    def restore(self) -> None:
        self.some(NaiveDevice, NaiveDevice.restore)

    def repeat(self) -> None:
        self.some(NaiveDevice, NaiveDevice.repeat)

    def echo(self) -> None:
        for parrot in self.parrots:
            parrot.repeat()

    def leave(self) -> None:
        self.random.choice(self.devices).leave()

    def all_leave(self) -> None:
        for device in (*self.devices, *self.parrots):
            device.leave()

    def pause(self) -> None:
        self.world.pass_time(self.random.choice((0.5, 2.0, 15.0)))

    def some(self, kind: type[Any], deed: Callable[[Any], None]) -> None:
        if found := [device for device in self.devices if isinstance(device, kind)]:
            deed(self.random.choice(found))

    def author(self, content: Any) -> Any:
        """Some operation for the content."""
        match self.type_name:
            case "text":
                return text.operation(self.random, content)
            case "json1":
                return json1.operation(self.random, content)
            case _:
                return rich_text.operation(self.random, units_of(content))

    # --- what happens to them -----------------------------------------------------------------------------------------

    def lose(self) -> None:
        """A connection is lost. Who notices first, and how late the other, is open."""
        random = self.random
        above = random.choice((0.0, 0.05, 0.5, 5.0, 20.0)) * random.random()
        below = random.choice((0.0, 0.02, 0.2)) * random.random()
        random.choice((*self.devices, *self.parrots)).lose(above, below)

    def start_gateway(self) -> None:
        self.distant = DistantDocuments(self.world, self.store, self.weather)
        self.gateway = GatewayProcess(self.world, self.distant, self.limits, self.retention)  # type: ignore[arg-type]
        self.network.gateway = self.gateway

    def crash(self) -> None:
        """The gateway loses its memory, and comes back."""
        if self.network.gateway is None:
            return
        self.network.gateway = None
        self.network.cut_all()
        self.distant.switched_off()
        self.gateway.crash()
        self.referee.gateway_ended()
        self.keeper.call_later(self.random.choice((0.0, 0.1, 1.0)), self.start_gateway)

    def snapshot(self) -> None:
        """A snapshot is taken now, and not when it is due."""
        if self.network.gateway is not None and (room := self.gateway.room(ROOM)) is not None:
            if room.document.staged:
                self.world.tally["a snapshot while operations are being stored"] += 1
            self.gateway.machine.run(self.gateway.documents.keep_snapshot(ROOM, room.document))

    def others_write(self) -> None:
        """Another process appends to the log."""

        async def write() -> None:
            life = self.ledger.life
            operation = life.type.normalize(self.author(life.contents[-1]))
            entry = Committed(
                life.version + 1,
                operation,
                "another process",
                99,
                str(UUID(int=self.random.getrandbits(128), version=4)),
                life.version,
                int(self.world.unix * 1000),
                50,
            )
            await self.store.append(ROOM, life.epoch, [entry])

        if self.ledger.lives:
            self.keeper.run(write())

    def others_replace(self) -> None:
        """Another process brings in a backup."""

        async def replace() -> None:
            content = self.random.choice(self.ledger.life.contents)
            await self.store.replace(ROOM, self.type_name, content)
            self.world.tally["the document is replaced"] += 1

        if self.ledger.lives:
            self.keeper.run(replace())

    # --- the end ------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """All is well again: the copies come together, and in what the log leads to."""
        self.weather.clear_up()
        self.network.latency = 0.002
        self.world.pass_time(GRACE + 25.0)
        for attempt in range(10):
            if all(device.saved for device in self.devices):
                if all(self.is_newest(device) for device in self.devices):
                    break
                # Others have written to the store, and the gateway learns of it when it writes there, or starts anew.
                self.crash() if attempt > 3 else self.edit()
            self.world.pass_time(5.0)
        else:
            raise AssertionError("the copies do not come together")
        life = self.ledger.life
        here = {device.user for device in (*self.devices, *self.parrots)}
        for device in self.devices:
            assert device.content == life.contents[-1], "a copy is what the log leads to"
            assert device.people == here, f"{device.people} are seen, and {here} are here"
        self.keeper.run(self.check_store())
        self.world.pass_time(1.0)

    def is_newest(self, device: NaiveDevice | PackageDevice) -> bool:
        return (device.epoch, device.version) == (self.ledger.life.epoch, self.ledger.life.version)

    async def check_store(self) -> None:
        """What the store has kept leads to the same."""
        stored = await self.store.load(ROOM)
        life = self.ledger.life
        assert stored is not None and stored.epoch == life.epoch
        assert list(stored.entries) == life.entries[stored.version :]
        assert stored.content == life.contents[stored.version]


def units_of(delta: rich_text.Delta) -> list[rich_text.Unit]:
    """A document of rich text, as the generator has it."""
    units: list[rich_text.Unit] = []
    for component in delta:
        inserted, formats = component["insert"], component.get("attributes", {})
        units += [(content, formats) for content in ([inserted] if isinstance(inserted, dict) else inserted)]
    return units
