"""As tests/server/test_gateway.py, with its clients spread over the nodes of a cluster."""

from tests.server.test_gateway import *  # noqa: F403
