"""What a client may rely on by the specification (operations), with its clients spread over the nodes of a cluster."""

from tests.server.test_spec_operations import *  # noqa: F403
