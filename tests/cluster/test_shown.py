"""As tests/server/test_shown.py, with its clients spread over the nodes of a cluster."""

from tests.server.test_shown import *  # noqa: F403
