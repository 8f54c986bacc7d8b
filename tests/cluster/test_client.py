"""As tests/server/test_client.py, with its clients spread over the nodes of a cluster."""

from tests.server.test_client import *  # noqa: F403
