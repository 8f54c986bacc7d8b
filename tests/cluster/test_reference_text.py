"""As tests/server/test_reference_text.py, with its clients spread over the nodes of a cluster."""

from tests.server.test_reference_text import *  # noqa: F403
