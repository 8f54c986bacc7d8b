"""What a client may rely on by the specification (presence), with its clients spread over the nodes of a cluster."""

from tests.server.test_spec_presence import *  # noqa: F403
