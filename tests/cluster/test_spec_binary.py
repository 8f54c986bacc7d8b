"""What a client may rely on by the specification (binary), with its clients spread over the nodes of a cluster."""

from tests.server.test_spec_binary import *  # noqa: F403
