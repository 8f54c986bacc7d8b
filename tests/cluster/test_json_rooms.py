"""As tests/server/test_json_rooms.py, with its clients spread over the nodes of a cluster."""

from tests.server.test_json_rooms import *  # noqa: F403
