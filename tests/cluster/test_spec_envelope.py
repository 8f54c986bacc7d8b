"""What a client may rely on by the specification (envelope), with its clients spread over the nodes of a cluster."""

from tests.server.test_spec_envelope import *  # noqa: F403
