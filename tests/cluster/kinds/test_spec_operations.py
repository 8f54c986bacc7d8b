"""What a client may rely on by the specification (operations), on three nodes and each kind of server."""

from tests.server.test_spec_operations import *  # noqa: F403
