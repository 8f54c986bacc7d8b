"""The port that workers share."""

from __future__ import annotations

import errno
import socket

import pytest

from fastcollab.serving.port import held_port


def listening(port: int, *, shared: bool) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), reuse_port=shared)


def test_workers_listen_on_it_and_the_holder_takes_no_connection() -> None:
    with held_port("127.0.0.1", 0) as port, listening(port, shared=True) as one, listening(port, shared=True) as two:
        one.setblocking(False)
        two.setblocking(False)
        taken = 0
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", port)):
                for each in (one, two):
                    try:
                        each.accept()[0].close()
                        taken += 1
                    except BlockingIOError:
                        pass
        assert taken == 50


def test_nobody_else_gets_it_meanwhile() -> None:
    with held_port("127.0.0.1", 0) as port, pytest.raises(OSError, match="in use"):
        listening(port, shared=False)


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_on_which_somebody_listens_is_taken_even_if_they_would_share_it(shared: bool) -> None:
    with listening(0, shared=shared) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match="in use") as refusal, held_port("127.0.0.1", port):
            pass
    assert (refusal.value.errno, refusal.value.filename) == (errno.EADDRINUSE, f"127.0.0.1:{port}")


def test_a_name_with_several_addresses_has_one_port_at_all_of_them() -> None:
    with held_port("localhost", 0) as port, pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", port))


def test_a_name_of_nobody() -> None:
    with pytest.raises(socket.gaierror), held_port("nowhere.invalid", 1):
        pass
