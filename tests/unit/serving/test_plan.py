"""What ``serve`` and the tools make of the configuration and of what there is on the disk."""

from __future__ import annotations

import pickle

import pytest

from fastcollab.config import Config
from fastcollab.serving.plan import CannotServe, Kept, engine_to_look_at, engine_to_serve, worker_config

SECRET = "a secret of the tests, and of nobody else"
NOTHING, FILE, DIRECTORY, BOTH = Kept(False, False), Kept(True, False), Kept(False, True), Kept(True, True)


def config(workers: int, url: str | None = None) -> Config:
    engine = {} if url is None else {"url": url}
    return Config(server={"workers": workers}, engine=engine, auth={"secret": SECRET})


@pytest.mark.parametrize(
    ("workers", "kept", "url"),
    [
        (1, NOTHING, "sqlite:fastcollab.db"),
        (1, FILE, "sqlite:fastcollab.db"),
        (1, DIRECTORY, "valkey:fastcollab.data"),
        (4, NOTHING, "valkey:fastcollab.data"),
        (4, DIRECTORY, "valkey:fastcollab.data"),
    ],
)
def test_by_default_documents_are_where_they_were(workers: int, kept: Kept, url: str) -> None:
    assert engine_to_serve(config(workers), kept).url == url
    assert engine_to_look_at(config(workers), kept).url == url


def test_workers_do_not_begin_without_the_documents_of_the_file() -> None:
    with pytest.raises(CannotServe, match="fastcollab document import") as refusal:
        engine_to_serve(config(2), FILE)
    assert len(refusal.value.lines) == 1
    # The tools that take them along find them.
    assert engine_to_look_at(config(2), FILE).url == "sqlite:fastcollab.db"


def test_two_places_are_one_too_many() -> None:
    for workers in (1, 2):
        for choose in (engine_to_serve, engine_to_look_at):
            with pytest.raises(CannotServe, match="say which"):
                choose(config(workers), BOTH)


@pytest.mark.parametrize("url", ["memory://", "valkey:elsewhere", "redis://h", "unix:///run/redis.sock"])
def test_what_is_named_is_taken(url: str) -> None:
    for workers in (1, 2):
        for kept in (NOTHING, FILE, DIRECTORY, BOTH):
            assert engine_to_serve(config(workers, url), kept).url == url


def test_a_file_that_is_named_is_for_one_process() -> None:
    assert engine_to_serve(config(1, "sqlite:a.db"), BOTH).url == "sqlite:a.db"
    for url in ("sqlite:a.db", "sqlite:fastcollab.db"):
        with pytest.raises(CannotServe, match=rf"engine\.url is {url}.* server\.workers is 2: set it to valkey:"):
            engine_to_serve(config(2, url), NOTHING)


def test_workers_share_what_all_clients_may_do_together() -> None:
    whole = Config(
        server={"workers": 3, "port": 0, "reconnect_rate": 300},
        limits={"connections": 100, "handshakes": 9, "connection_rate": 0, "operations": 30},
        ops={"port": 8081},
        auth={"secret": SECRET},
    )
    part = pickle.loads(pickle.dumps(worker_config(whole, whole.engine.model_copy(update={"url": "unix:///s"}), 4711)))
    assert (part.server.port, part.server.reconnect_rate) == (4711, 100)
    # Rounded up, so that none may have nothing; no limit remains none.
    assert (part.limits.connections, part.limits.handshakes, part.limits.connection_rate) == (34, 3, 0)
    # What is a user's is not divided: all of a user's connections may be at one worker.
    assert part.limits.operations == 30
    assert (part.ops.port, part.engine.redis.path) == (None, "/s")
    assert part.auth.secret.get_secret_value() == SECRET


def test_workers_are_not_told_the_keys_to_the_api() -> None:
    whole = Config(server={"workers": 2}, auth={"secret": SECRET}, ops={"api_keys": ["k" * 32]})
    assert worker_config(whole, whole.engine, 4711).ops.api_keys == ()
