"""What a client may rely on by the specification (past), with its clients spread over the nodes of a cluster."""

from tests.server.test_spec_past import *  # noqa: F403
