"""As tests/server/test_spec_limits.py, with its clients spread over the nodes of a cluster."""

from tests.server.test_spec_limits import *  # noqa: F403
