"""As tests/server/test_client_tokens.py, with its clients spread over the nodes of a cluster."""

from tests.server.test_client_tokens import *  # noqa: F403
