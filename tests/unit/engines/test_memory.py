"""The engine in memory: the contracts of its ports, and what it does beyond them."""

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pytest

from fastcollab.engines.memory import MemoryDocuments, MemoryRegistry, MemoryRevocations, own_number
from fastcollab.errors import ConnectionLimit
from fastcollab.testing import DocumentStoreContract, RegistryContract, RevocationsContract
from fastcollab.testing.revocations import Close


def hashed(user_id: str) -> int:
    return int.from_bytes(blake2b(user_id.encode(), digest_size=4).digest())


class TestRegistry(RegistryContract):
    @pytest.fixture
    def registry(self) -> MemoryRegistry:
        return MemoryRegistry()


class TestDocuments(DocumentStoreContract):
    durable = False

    async def open_documents(self, directory: Path, clock: Callable[[], float]) -> MemoryDocuments:
        return MemoryDocuments(clock)


class TestRevocations(RevocationsContract):
    durable = False

    async def open_revocations(self, directory: Path) -> tuple[MemoryRevocations, Close]:
        async def close() -> None:
            pass

        return MemoryRevocations(), close


class TestNumbers:
    @pytest.mark.parametrize("user_id", ["0", "1", "10", "4294967295"])
    def test_s6_own_numbers(self, user_id: str) -> None:
        assert own_number(user_id) == int(user_id)

    @pytest.mark.parametrize(
        "user_id", ["", "00", "01", "+1", "-0", "1.0", "1e3", "4294967296", "9" * 5_000, "²", "１", "٣", "1 "]
    )
    def test_s6_ids_that_are_no_numbers(self, user_id: str) -> None:
        assert own_number(user_id) is None

    async def test_a_number_is_the_same_in_every_process(self) -> None:
        for registry in (MemoryRegistry(), MemoryRegistry()):
            await registry.register("7", "c0", 5)
            assert await registry.register("ada", "c1", 5) == hashed("ada")

    async def test_of_two_whose_numbers_collide_the_second_gets_the_next_free(self) -> None:
        registry = MemoryRegistry()
        number = hashed("ada")
        assert await registry.register(str(number), "c1", 5) == number
        assert await registry.register(str(number + 1), "c2", 5) == number + 1
        assert await registry.register("ada", "c3", 5) == number + 2
        # It is Ada's for as long as she stays, and after that the one that suits her best.
        await registry.unregister(str(number), "c1")
        assert await registry.register("ada", "c4", 5) == number + 2
        for connection_id in ("c3", "c4"):
            await registry.unregister("ada", connection_id)
        assert await registry.register("ada", "c5", 5) == number

    async def test_after_the_last_number_comes_the_first(self) -> None:
        registry = MemoryRegistry()
        registry._holders[2**32 - 1] = "another"
        assert await registry.register("4294967295", "c1", 5) == 0


class TestMemory:
    async def test_nothing_is_left_of_those_who_are_gone(self) -> None:
        registry = MemoryRegistry()
        for index in range(100):
            await registry.register(f"user {index % 30}", f"c{index}", 5)
        assert len(registry) == 100
        with pytest.raises(ConnectionLimit):
            await registry.register("stranger", "c", 0)
        for index in range(100):
            await registry.unregister(f"user {index % 30}", f"c{index}")
        assert len(registry) == 0
        assert not registry._connections and not registry._numbers and not registry._holders
