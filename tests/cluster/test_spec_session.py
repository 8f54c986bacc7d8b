"""As tests/server/test_spec_session.py, with its clients spread over the nodes of a cluster."""

from tests.server.test_spec_session import *  # noqa: F403
