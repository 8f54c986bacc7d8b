"""As tests/server/test_client_recovery.py, with its clients spread over the nodes of a cluster."""

from tests.server.test_client_recovery import *  # noqa: F403
