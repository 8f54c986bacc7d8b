"""What a client may rely on by the specification (resume), with its clients spread over the nodes of a cluster."""

from tests.server.test_spec_resume import *  # noqa: F403
