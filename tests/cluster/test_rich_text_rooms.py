"""As tests/server/test_rich_text_rooms.py, with its clients spread over the nodes of a cluster."""

from tests.server.test_rich_text_rooms import *  # noqa: F403
