"""What these tests have in common with those of the server."""

from tests.server.conftest import make_token as make_token
