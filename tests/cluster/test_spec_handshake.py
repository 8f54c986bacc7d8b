"""What a client may rely on by the specification (handshake), with its clients spread over the nodes of a cluster."""

from tests.server.test_spec_handshake import *  # noqa: F403
