"""What a client may rely on by the specification (rooms), with its clients spread over the nodes of a cluster."""

from tests.server.test_spec_rooms import *  # noqa: F403
