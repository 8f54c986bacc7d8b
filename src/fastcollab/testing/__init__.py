"""Contract suites: what every implementation of a port must do, as tests that run against yours.

Each suite is a class of pytest tests. Subclass it in a test module and give it what it asks for, such as a fixture that
makes a fresh implementation for each test::

    class TestMyRegistry(RegistryContract):
        @pytest.fixture
        def registry(self) -> MyRegistry:
            return MyRegistry()

The tests are coroutines, marked for pytest-asyncio. `fastcollab.testing.echo` is no such suite: it has a gateway that
sends every message back, for suites of WebSocket cases. This package needs pytest, pytest-asyncio, hypothesis and
nothing else that the gateway does not.
"""

import pytest

# What these modules assert is explained as in a test module.
pytest.register_assert_rewrite(
    "fastcollab.testing.registry",
    "fastcollab.testing.documents",
    "fastcollab.testing.document_model",
    "fastcollab.testing.revocations",
    "fastcollab.testing.rosters",
)

from fastcollab.testing.documents import DocumentStoreContract  # noqa: E402
from fastcollab.testing.registry import RegistryContract, SharedRegistryContract  # noqa: E402
from fastcollab.testing.revocations import RevocationsContract  # noqa: E402
from fastcollab.testing.rosters import RostersContract  # noqa: E402

__all__ = [
    "DocumentStoreContract",
    "RegistryContract",
    "RevocationsContract",
    "RostersContract",
    "SharedRegistryContract",
]
