"""As tests/server/test_client_compression.py, with its clients spread over the nodes of a cluster."""

from tests.server.test_client_compression import *  # noqa: F403
