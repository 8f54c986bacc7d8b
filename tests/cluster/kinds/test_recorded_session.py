"""As tests/server/test_recorded_session.py, on three nodes and each kind of server."""

from tests.server.test_recorded_session import *  # noqa: F403
