"""What a client may rely on by the specification (presence), on three nodes and each kind of server."""

from tests.server.test_spec_presence import *  # noqa: F403
