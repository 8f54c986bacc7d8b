"""What a client may rely on by the specification (traces), with its clients spread over the nodes of a cluster."""

from tests.server.test_spec_traces import *  # noqa: F403
