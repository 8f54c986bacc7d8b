"""The configuration: every setting, every source, every bound, and what is told about mistakes."""

import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from annotated_types import Ge, Gt, Le
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fastcollab.config import (
    AuthConfig,
    Config,
    ConfigError,
    LimitsConfig,
    RedisUrl,
    Setting,
    config_reference,
    effective_config,
    setting_fields,
)
from fastcollab.config.reference import description, toml_value

SECRET = "0123456789abcdef0123456789abcdef"

# Names and defaults are promises to those who wrote configuration files, so they are spelled out again here.
PROMISED = """
server.host = "127.0.0.1"
server.port = 8080
server.workers = 1
server.path = "/ws"
server.handshake_timeout = 10.0
server.trusted_proxies = []
server.forwarded_header = "x-forwarded-for"
server.proxy_protocol = false
server.shutdown_timeout = 10.0
server.reconnect_rate = 500.0
tls.reload_interval = 60.0
auth.algorithms = ["HS256"]
auth.jwks_allow_http = false
auth.jwks_refresh_interval = 300.0
auth.jwks_min_interval = 10.0
auth.jwks_max_age = 86400.0
auth.leeway = 0.0
auth.allow_query_token = false
auth.connect_timeout = 10.0
auth.expiry_notice = 60.0
auth.validation_interval = 300.0
auth.max_token_lifetime = 0.0
client.allowed_origins = ["*"]
client.max_message_bytes = 1048576
client.max_outbound_bytes = 8388608
client.heartbeat_interval = 25.0
client.read_buffer_bytes = 2048
compression.enabled = true
compression.cursors = true
compression.threshold = 1024
compression.level = 1
compression.memory_level = 8
compression.window_bits = 15
compression.server_context_takeover = false
compression.client_context_takeover = false
compression.large_bytes = 65536
compression.concurrency = 10
limits.cursor_updates = 60
limits.operations = 30
limits.messages = 120
limits.burst = 2.0
limits.frames = 0
limits.connections_per_user = 5
limits.rooms_per_user = 10
limits.connections = 0
limits.shadow = []
limits.handshakes = 4096
limits.connection_rate = 200
rooms.default_document_type = "json1"
rooms.default_permission = "write"
rooms.max_participants = 500
rooms.max_messages_per_batch = 100
presence.grace_period = 10.0
presence.cursor_interval_ms = 16.67
presence.selection_interval_ms = 100.0
presence.update_interval_ms = 500.0
presence.max_data_bytes = 4096
fanout.min_interval_ms = 1.0
fanout.max_interval_ms = 16.67
documents.history_operations = 10000
documents.history_bytes = 67108864
documents.history_seconds = 0
documents.results_seconds = 86400
documents.cached_operations = 1000
documents.cached_bytes = 1048576
documents.snapshot_operations = 1000
documents.snapshot_bytes = 262144
documents.max_operation_bytes = 1048576
documents.max_document_bytes = 16777216
backend.timeout = 5.0
backend.permission_ttl = 30.0
backend.profile_ttl = 300.0
backend.profile_timeout = 1.0
backend.save_delay = 2.0
backend.save_max_delay = 10.0
backend.saves_at_once = 8
engine.url = "sqlite:fastcollab.db"
engine.replicas = 1
engine.prefix = "fastcollab"
engine.timeout = 5.0
engine.channels = 16
engine.lease = 15.0
webhooks.events = ["room_occupied", "room_vacated", "document_changed", "connection_opened", "connection_closed"]
webhooks.timeout = 5.0
webhooks.at_once = 8
webhooks.most_waiting = 10000
webhooks.give_up_after = 86400.0
webhooks.document_delay = 2.0
webhooks.document_max_delay = 10.0
ops.host = "127.0.0.1"
ops.api_keys = []
log.level = "info"
log.format = "auto"
tracing.enabled = false
tracing.trust_clients = false
tracing.client_rate = 10
"""
PROMISED_UNSET = {
    *("tls.certificate_file", "tls.key_file"),
    "engine.durability",
    "ops.port",
    *("auth.secret", "auth.public_key_file", "auth.jwks_url", "auth.issuer", "auth.audience"),
    *("backend.load_url", "backend.save_url", "backend.permission_url", "backend.profile_url", "backend.secret"),
    *("webhooks.url", "webhooks.secret"),
}

TomlFile = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _no_configuration_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FASTCOLLAB_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def toml_file(tmp_path: Path) -> TomlFile:
    def write(text: str) -> Path:
        path = tmp_path / "fastcollab.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problems_of(make: Callable[[], object]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    return [str(problem) for problem in caught.value.problems]


def flat(config: Config) -> dict[str, object]:
    return {
        f"{section}.{name}": list(value) if isinstance(value, tuple) else value
        for section, values in config.model_dump().items()
        for name, value in values.items()
    }


# Names, defaults, sources


def test_the_promised_names_and_defaults() -> None:
    promised = {
        f"{section}.{name}": value
        for section, values in tomllib.loads(PROMISED).items()
        for name, value in values.items()
    }
    values = flat(Config())
    assert {key: value for key, value in values.items() if value is not None} == promised
    assert {key for key, value in values.items() if value is None} == PROMISED_UNSET


def test_each_source_gives_way_to_the_one_above_it(toml_file: TomlFile, monkeypatch: pytest.MonkeyPatch) -> None:
    path = toml_file("[limits]\noperations = 1\nmessages = 1\n\ncursor_updates = 1\n")
    monkeypatch.setenv("FASTCOLLAB_LIMITS__OPERATIONS", "2")
    monkeypatch.setenv("FASTCOLLAB_LIMITS__MESSAGES", "2")
    config = Config.load(path, {"limits.operations": Setting("3", "flag --set")})

    limits = config.limits
    assert (limits.operations, limits.messages, limits.cursor_updates, limits.connections) == (3, 2, 1, 0)
    assert config.origin("limits.operations") == "flag --set"
    assert config.origin("limits.messages") == "environment variable FASTCOLLAB_LIMITS__MESSAGES"
    assert config.origin("limits.cursor_updates") == f"{path}, line 5"
    assert config.origin("limits.connections") == "default"


def test_keyword_arguments_give_only_what_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCOLLAB_LIMITS__OPERATIONS", "2")
    monkeypatch.setenv("FASTCOLLAB_LIMITS__MESSAGES", "2")
    monkeypatch.setenv("FASTCOLLAB_AUTH__LEEWAY", "5")
    config = Config(auth={"secret": SECRET}, limits=LimitsConfig(operations=100))

    assert config.auth.secret is not None
    assert config.auth.secret.get_secret_value() == SECRET
    assert config.auth.leeway == 5
    assert config.limits.operations == 100
    assert config.limits.messages == 2
    assert config.origin("limits.operations") == "keyword argument limits"


def test_overrides_without_a_flag_have_an_origin_too() -> None:
    assert Config.load(overrides={"server.port": 9000}).origin("server.port") == "override"


def test_a_value_that_is_overridden_need_not_be_valid(toml_file: TomlFile) -> None:
    assert Config.load(toml_file("[server]\nport = -1"), {"server.port": 1}).server.port == 1


@pytest.mark.parametrize("text", ["HS256,HS512", " HS256 , HS512 ", '["HS256", "HS512"]'])
def test_lists_in_text(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCOLLAB_AUTH__ALGORITHMS", text)
    assert Config().auth.algorithms == ("HS256", "HS512")


def test_scalars_in_text() -> None:
    overrides = {
        "auth.allow_query_token": "true",
        "server.port": "0",
        "auth.leeway": "1.5",
        "auth.audience": "a",
    }
    config = Config.load(None, overrides)
    assert (config.auth.allow_query_token, config.server.port, config.auth.leeway) == (True, 0, 1.5)
    assert config.auth.audience == ("a",)


def test_inline_tables_and_dotted_keys_have_lines(toml_file: TomlFile) -> None:
    path = toml_file('log = { level = "debug" }\n"server".port = 1\n[ client ] # c\n  max_message_bytes=2048\n')
    config = Config.load(path)
    assert config.origin("log.level") == f"{path}, line 1"
    assert config.origin("server.port") == f"{path}, line 2"
    assert config.origin("client.max_message_bytes") == f"{path}, line 4"


def test_text_in_a_multi_line_string_does_not_move_a_line(toml_file: TomlFile) -> None:
    path = toml_file('[auth]\nissuer = "a"\naudience = """\nissuer = 3\n"""\n')
    assert Config.load(path).origin("auth.issuer") == f"{path}, line 2"


def test_a_configuration_never_changes() -> None:
    config = Config()
    with pytest.raises(ValidationError, match="frozen"):
        config.server = config.server
    with pytest.raises(ValidationError, match="frozen"):
        config.server.port = 1


# The environment


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FASTCOLLAB_SERVICE_HOST", "10.0.0.1"),
        ("FASTCOLLAB_SERVICE_PORT", "8080"),
        ("FASTCOLLAB_SERVICE_PORT_WS", "8080"),
        ("FASTCOLLAB_PORT", "tcp://10.0.0.1:8080"),
        ("FASTCOLLAB_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("FASTCOLLAB_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("FASTCOLLAB_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("FASTCOLLAB_TRACES", "/data/traces"),
        ("FASTCOLLAB_SERVER__PORT", ""),
        ("FASTCOLLABX", "1"),
    ],
)
def test_variables_that_are_no_setting(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert Config() == Config.load()
    assert Config().server.port == 8080


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        (
            "FASTCOLLAB_SERVR__PORT",
            "1",
            "servr.port is not a known setting; did you mean FASTCOLLAB_SERVER__PORT? "
            "(environment variable FASTCOLLAB_SERVR__PORT)",
        ),
        (
            "FASTCOLLAB_PORT",
            "9000",
            "port is not a known setting; did you mean FASTCOLLAB_SERVER__PORT? (environment variable FASTCOLLAB_PORT)",
        ),
        (
            "FASTCOLLAB_SERVER",
            '{"port": 1}',
            "server is a section, not a setting (environment variable FASTCOLLAB_SERVER)",
        ),
        (
            "FASTCOLLAB_SERVER__PORT",
            "tcp://10.0.0.1:8080",
            "server.port must be a valid integer, unable to parse string as an integer, "
            "got 'tcp://10.0.0.1:8080' (environment variable FASTCOLLAB_SERVER__PORT)",
        ),
    ],
)
def test_mistaken_variables(name: str, value: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert problems_of(Config) == [problem]


# Problems


def test_all_problems_of_all_sources_are_told_at_once(toml_file: TomlFile, monkeypatch: pytest.MonkeyPatch) -> None:
    path = toml_file('port = 1\n[server]\nhots = "a"\npath = "ws"\n\n[limits]\noperations = 0\n[colors]\nx = 1\n')
    monkeypatch.setenv("FASTCOLLAB_AUTH__LEEWAY", "soon")
    monkeypatch.setenv("FASTCOLLAB_AUTH__SECRT", "x")
    overrides = {"server.port": Setting(70000, "flag --port"), "serverport": Setting("1", "flag --set")}
    assert sorted(problems_of(lambda: Config.load(path, overrides))) == sorted(
        [
            f"port is not a known setting; did you mean server.port? ({path}, line 1)",
            f"server.hots is not a known setting; did you mean server.host? ({path}, line 3)",
            f"server.path must match pattern '^/[^\\s?#]*$', got 'ws' ({path}, line 4)",
            f"limits.operations must be greater than or equal to 1, got 0 ({path}, line 7)",
            f"colors.x is not a known setting ({path}, line 9)",
            "auth.leeway must be a valid number, unable to parse string as a number, got 'soon' "
            "(environment variable FASTCOLLAB_AUTH__LEEWAY)",
            "auth.secrt is not a known setting; did you mean FASTCOLLAB_AUTH__SECRET? "
            "(environment variable FASTCOLLAB_AUTH__SECRT)",
            "server.port must be less than or equal to 65535, got 70000 (flag --port)",
            "serverport is not a known setting; did you mean server.port? (flag --set)",
        ]
    )


def test_problems_have_parts() -> None:
    with pytest.raises(ConfigError) as caught:
        Config(server={"port": -1})
    (problem,) = caught.value.problems
    assert (problem.key, problem.origin) == ("server.port", "keyword argument server")


def test_a_long_value_is_told_in_part() -> None:
    (problem,) = problems_of(lambda: Config(log={"level": "x" * 500}))
    assert "'xxx" in problem
    assert len(problem) < 200


@pytest.mark.parametrize("section", ["server", "auth"])
def test_a_section_that_is_no_table(section: str, toml_file: TomlFile) -> None:
    path = toml_file(f'{section} = "{SECRET}"')
    assert problems_of(lambda: Config.load(path)) == [f"{section} must be a table of settings ({path}, line 1)"]


def test_a_model_of_another_section() -> None:
    problems = problems_of(lambda: Config(fanout=LimitsConfig(operations=1)))
    assert problems == ["fanout.operations is not a known setting; did you mean limits.operations? "
                        "(keyword argument fanout)"]  # fmt: skip


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    assert problems_of(lambda: Config.load(path)) == [f"{path} cannot be read: No such file or directory"]
    assert problems_of(lambda: Config.load(tmp_path)) == [f"{tmp_path} cannot be read: Is a directory"]


def test_files_that_are_no_toml(toml_file: TomlFile) -> None:
    path = toml_file("[server]\nport = \n")
    (problem,) = problems_of(lambda: Config.load(path, {"server.port": 1}))
    assert problem.startswith(f"{path} is not valid TOML: ")
    assert "line 2" in problem

    path.write_bytes(b"[auth]\nissuer = '\xff'\n")
    (problem,) = problems_of(lambda: Config.load(path))
    assert problem.startswith(f"{path} is not valid TOML: ")


def test_a_file_that_is_no_toml_does_not_hide_other_problems(toml_file: TomlFile) -> None:
    path = toml_file("[server")
    assert len(problems_of(lambda: Config.load(path, {"server.port": -1}))) == 2


@pytest.mark.parametrize(
    ("mistake", "meant"),
    [
        ("limits.operation", "limits.operations"),
        ("limit.operations", "limits.operations"),
        ("serv.prot", "server.port"),
        ("limits.allowed_origin", "client.allowed_origins"),
        ("allowed_origins", "client.allowed_origins"),
        ("serverport", "server.port"),
        ("auth.jwt_secret", "auth.secret"),
        ("limits.x", None),
        ("colors.red", None),
        ("", None),
        ("limits.operations.more", "limits.operations"),
    ],
)
def test_suggestions(mistake: str, meant: str | None) -> None:
    (problem,) = problems_of(lambda: Config.load(None, {mistake: 1}))
    assert problem.endswith(f"is not a known setting; did you mean {meant}? (override)") == (meant is not None)
    assert problem.endswith("is not a known setting (override)") == (meant is None)


# Bounds


def bounds_crossed() -> Iterator[tuple[str, float]]:
    for key, field in setting_fields().items():
        step = 1 if int in (field.annotation, *get_args(field.annotation)) else 1e-6
        for bound in field.metadata:
            match bound:
                case Ge():
                    yield key, bound.ge - step
                case Gt():
                    yield key, bound.gt
                case Le():
                    yield key, bound.le + step


@pytest.mark.parametrize(("key", "value"), list(bounds_crossed()))
def test_every_bound_holds(key: str, value: float) -> None:
    (problem,) = problems_of(lambda: Config.load(None, {key: value}))
    assert re.match(rf"{key} must be (greater|less) than .*, got {re.escape(repr(value))} \(override\)", problem)


@pytest.mark.parametrize("key", [key for key, field in setting_fields().items() if field.annotation in (int, float)])
def test_every_number_has_two_bounds_and_is_a_number(key: str) -> None:
    kinds = {type(bound) for bound in setting_fields()[key].metadata}
    assert Le in kinds
    assert kinds & {Ge, Gt}
    for mistake in (True, float("nan"), float("inf"), "many", [1], None):
        assert problems_of(lambda mistake=mistake: Config.load(None, {key: mistake}))[0].startswith(f"{key} ")


@pytest.mark.parametrize(
    ("lower", "upper", "values"),
    [
        ("fanout.min_interval_ms", "fanout.max_interval_ms", (20.0, 10.0)),
        ("client.max_message_bytes", "client.max_outbound_bytes", (200_000, 100_000)),
        ("documents.max_operation_bytes", "documents.max_document_bytes", (2000, 1000)),
        ("backend.save_delay", "backend.save_max_delay", (20.0, 15.0)),
    ],
)
def test_settings_that_bound_each_other(lower: str, upper: str, values: tuple[float, float]) -> None:
    (problem,) = problems_of(lambda: Config.load(None, {lower: values[0], upper: values[1]}))
    assert problem == f"{upper} must be at least {lower}, {values[0]:_}, got {values[1]:_} (override)"
    assert Config.load(None, {lower: values[1], upper: values[1]})


def test_a_default_is_held_to_a_bound_that_is_set() -> None:
    (problem,) = problems_of(lambda: Config(fanout={"min_interval_ms": 20}))
    assert problem == "fanout.max_interval_ms must be at least fanout.min_interval_ms, 20.0, got 16.67 (default)"


def test_choices() -> None:
    for key in ("rooms.default_document_type", "rooms.default_permission", "log.level", "log.format"):
        (problem,) = problems_of(lambda key=key: Config.load(None, {key: "other"}))
        assert problem.startswith(f"{key} must be '")


def test_text_must_not_be_empty() -> None:
    for key in ("server.host", "auth.issuer", "auth.audience", "auth.algorithms", "client.allowed_origins"):
        (problem,) = problems_of(lambda key=key: Config.load(None, {key: ""}))
        assert problem.startswith(f"{key} must have at least 1 ")


def test_a_list_that_is_not_json() -> None:
    (problem,) = problems_of(lambda: Config.load(None, {"client.allowed_origins": '["*"'}))
    assert problem.startswith("client.allowed_origins begins with [ and is not a JSON array: ")


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "null", "https://app.example.com", "http://localhost:5173"),
        *("https://*.example.com", "https://app-*.example.com:8443", "*://localhost:*", "http://[::1]:3000"),
    ],
)
def test_origins(origin: str) -> None:
    assert Config(client={"allowed_origins": [origin]}).client.allowed_origins == (origin,)


@pytest.mark.parametrize(
    "origin",
    ["https://example.com/", "example.com", "https://Example.com/app", "https://", "", "https://a b"],
)
def test_origins_that_no_browser_sends(origin: str) -> None:
    (problem,) = problems_of(lambda: Config(client={"allowed_origins": ["*", origin]}))
    assert problem.startswith(f"client.allowed_origins has {origin!r}, which no browser sends")


@pytest.mark.parametrize("network", ["10.0.0.1/8", "example.com", "10.0.0.0/33", "10.0.0", "*", "::g"])
def test_a_proxy_is_named_by_address_or_network(network: str) -> None:
    good = ("10.0.0.0/8", "192.0.2.7", "2001:db8::/32")
    assert Config(server={"trusted_proxies": ",".join(good)}).server.trusted_proxies == good
    (problem,) = problems_of(lambda: Config(server={"trusted_proxies": [*good, network]}))
    assert problem.startswith(f"server.trusted_proxies has {network!r}, which is no address and no network")


def test_the_proxy_protocol_is_spoken_with_trusted_proxies_only() -> None:
    assert Config(server={"proxy_protocol": True, "trusted_proxies": ["10.0.0.1"]}).server.proxy_protocol
    (problem,) = problems_of(lambda: Config(server={"proxy_protocol": True}))
    assert problem.startswith("server.proxy_protocol needs server.trusted_proxies")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (
            "mysql://user:hunter2@host/0",
            "is of the scheme mysql; known are memory://, sqlite:, valkey:, redis:// and its kin",
        ),
        ("memory", "is not a URL; known are memory://, sqlite:, valkey:, redis:// and its kin"),
        ("memory://x", "is of the scheme memory; known are memory://, sqlite:, valkey:, redis:// and its kin"),
        *(
            (url, "names no host, or no port that there can be: write redis://host:port")
            for url in ("redis://", "redis://u:hunter2@", "redis://h:", "redis://h:0", "redis://h:65536", "redis://h:x")
        ),
        ("redis://:hunter2@a,b", "names more than one server: write redis+sentinel:// or redis+cluster://"),
        ("redis+cluster://a,", "names no host, or no port that there can be: write redis://host:port"),
        ("redis+cluster://a,b/1", "names a database, and a Cluster has only one"),
        ("redis+sentinel://a,b", "names no service: write redis+sentinel://host:port,host:port/service"),
        *(
            (url, "ends with what is no number of a database")
            for url in ("redis://h/x", "redis://h/-1", "redis://h/1/2", "redis+sentinel://h/service/x")
        ),
        ("redis://:p?w@h", "has a part that begins with ? or #, which means nothing here; write %3F and %23"),
        ("redis://h h", "has white space or control characters in it"),
        *((url, "names no socket: write unix:///path/to/redis.sock") for url in ("unix://", "unix:///", "unix://h/a")),
        *(
            (url, "names no file: write sqlite:///absolute/path.db or sqlite:relative.db")
            for url in ("sqlite:", "sqlite://", "sqlite:///", "sqlite:////", "sqlite://documents.db", "sqlite:a\0b")
        ),
        *(
            (
                url,
                "names no directory: write valkey:///absolute/path or valkey:relative; a server that runs already is "
                "redis://host:port",
            )
            for url in ("valkey:", "valkey://", "valkey:///", "valkey://localhost:6379/0", "valkey:a\0b")
        ),
    ],
)
def test_engines_that_there_are_not(url: str, problem: str) -> None:
    assert problems_of(lambda: Config(engine={"url": url})) == [f"engine.url {problem} (keyword argument engine)"]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("memory://", None),
        ("sqlite:///srv/fastcollab/documents.db", "/srv/fastcollab/documents.db"),
        ("sqlite:////srv/documents.db", "/srv/documents.db"),
        ("sqlite:/srv/documents.db", "/srv/documents.db"),
        ("sqlite:documents.db", "documents.db"),
        ("sqlite:./var/a b%20?.db", "var/a b%20?.db"),
    ],
)
def test_engines(url: str, path: str | None) -> None:
    engine = Config(engine={"url": url}).engine
    assert engine.sqlite_path == (path and Path(path))
    assert (engine.redis, engine.valkey_directory, engine.file_durability) == (None, None, "full")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("valkey:///srv/fastcollab", "/srv/fastcollab"),
        ("valkey:/srv/fastcollab", "/srv/fastcollab"),
        ("valkey:fastcollab.data", "fastcollab.data"),
    ],
)
def test_where_a_valkey_of_ones_own_has_its_data(url: str, path: str) -> None:
    engine = Config(engine={"url": url}).engine
    assert engine.valkey_directory == Path(path)
    assert (engine.redis, engine.sqlite_path, engine.file_durability) == (None, None, "full")


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("redis://h", RedisUrl("standalone", (("h", 6379),))),
        ("redis://[::1]:7/", RedisUrl("standalone", (("::1", 7),))),
        ("rediss://ada:p%40s%2Fs@h:1/3", RedisUrl("standalone", (("h", 1),), None, None, 3, "ada", "p@s/s", True)),
        ("unix://:hunter2@/run/a%20b", RedisUrl("standalone", (), "/run/a b", password="hunter2")),
        ("redis+sentinel://a,b:3/main", RedisUrl("sentinel", (("a", 26379), ("b", 3)), None, "main")),
        ("rediss+sentinel://a/main/2", RedisUrl("sentinel", (("a", 26379),), None, "main", 2, tls=True)),
        ("redis+cluster://a,b:3", RedisUrl("cluster", (("a", 6379), ("b", 3)))),
    ],
)
def test_where_a_redis_is(url: str, parts: RedisUrl) -> None:
    engine = Config(engine={"url": url}).engine
    assert (engine.redis, engine.sqlite_path, engine.redis_durability) == (parts, None, "none")


def test_a_password_of_an_engine_is_not_shown() -> None:
    for url in ("redis://ada:hunter2@h", "redis+sentinel://:hunter2@a,b/main", "unix://:hunter2@/run/a"):
        config = Config(engine={"url": url})
        assert "hunter2" not in repr(config) + repr(config.engine.redis) + effective_config(config)
        assert ":********@" in effective_config(config)


@pytest.mark.parametrize(
    ("url", "durability", "problem"),
    [
        ("sqlite:a.db", "relaxed", None),
        ("valkey:data", "relaxed", None),
        ("redis://h", "aof", None),
        ("redis+cluster://h", "replicas", None),
        ("sqlite:a.db", "aof", "cannot be aof with documents in SQLite, which takes full or relaxed"),
        ("valkey:a", "aof", "cannot be aof with documents in a Valkey of its own, which takes full or relaxed"),
        ("unix:///a", "full", "cannot be full with documents in Redis, which takes none or aof or replicas"),
        ("memory://", "none", "cannot be none with documents in memory, which takes none at all"),
    ],
)
def test_an_engine_is_as_durable_as_it_can_be(url: str, durability: str, problem: str | None) -> None:
    if problem is None:
        engine = Config(engine={"url": url, "durability": durability}).engine
        assert durability in (engine.file_durability, engine.redis_durability)
        return
    found = problems_of(lambda: Config(engine={"url": url, "durability": durability}))
    assert found == [f"engine.durability {problem} (keyword argument engine)"]


def test_a_prefix_of_keys_has_no_character_that_means_something() -> None:
    assert Config(engine={"prefix": "team:a_b.c-1"}).engine.prefix == "team:a_b.c-1"
    for prefix in ("a{b}", "a b", "*", "ä", "a\n"):
        (problem,) = problems_of(lambda prefix=prefix: Config(engine={"prefix": prefix}))
        assert problem.startswith("engine.prefix may have letters, digits and ._:- only")


# The back end


@pytest.mark.parametrize("name", ["load_url", "save_url", "permission_url", "profile_url"])
def test_requests_to_a_back_end_are_signed(name: str) -> None:
    (problem,) = problems_of(lambda: Config(backend={name: "https://app.example.com/documents"}))
    assert problem.startswith(f"backend.secret must be set, since requests to backend.{name} are signed with it: ")
    (problem,) = problems_of(lambda: Config(backend={"secret": "s" * 31}))
    assert problem == "backend.secret must have at least 32 bytes, and has 31 (keyword argument backend)"
    config = Config(backend={name: "https://app.example.com/documents?a=b", "secret": SECRET})
    assert SECRET not in repr(config) + effective_config(config)


@pytest.mark.parametrize(
    "url", ["", "app.example.com", "ftp://app.example.com/", "https://", "https:///x", "https://a b/", "https://a/#b"]
)
def test_addresses_of_a_back_end_that_are_refused(url: str) -> None:
    for name in ("load_url", "save_url", "permission_url", "profile_url"):
        (problem,) = problems_of(lambda name=name: Config(backend={name: url, "secret": SECRET}))
        assert problem.startswith(f"backend.{name} must be an address such as https://app.example.com/documents")


# Keys and algorithms


@pytest.mark.parametrize(
    ("algorithms", "reason"),
    [
        (["none"], "cannot have 'none'"),
        (["HS256", "None"], "cannot have 'none'"),
        (["HS255"], "has an unknown algorithm 'HS255'; known are HS256, "),
        (["HS256", "RS256"], "mixes shared-secret and public-key algorithms (HS256, RS256): whoever knows"),
        ([], "must have at least 1 item"),
    ],
)
def test_algorithms_that_are_refused(algorithms: list[str], reason: str) -> None:
    (problem,) = problems_of(lambda: Config(auth={"algorithms": algorithms}))
    assert problem.startswith(f"auth.algorithms {reason}")


@pytest.mark.parametrize(("algorithm", "size"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_is_as_long_as_its_algorithm_needs(algorithm: str, size: int) -> None:
    # The letter takes two bytes, and bytes count.
    assert Config(auth={"algorithms": [algorithm], "secret": "é" * (size // 2)})
    (problem,) = problems_of(lambda: Config(auth={"algorithms": [algorithm], "secret": "s" * (size - 1)}))
    assert problem == (
        f"auth.secret must have at least {size} bytes for {algorithm}, and has {size - 1} (keyword argument auth)"
    )


def test_secrets_are_not_shown() -> None:
    config = Config(auth={"secret": SECRET})
    for text in (repr(config), str(config), effective_config(config), repr(config.auth)):
        assert SECRET not in text
        assert "********" in text
    for mistake in ([SECRET], {"a": SECRET}, 12345678):
        (problem,) = problems_of(lambda mistake=mistake: Config(auth={"secret": mistake}))
        assert SECRET not in problem
        assert "12345678" not in problem


def test_public_keys(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    auth = {"algorithms": ["EdDSA"], "public_key_file": path}

    (problem,) = problems_of(lambda: Config(auth=auth))
    assert f"names {path}, which cannot be read: No such file or directory" in problem
    path.write_text("ssh-ed25519 AAAA")
    (problem,) = problems_of(lambda: Config(auth=auth))
    assert f"names {path}, which has no public key in PEM form" in problem
    path.write_text("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n")
    (problem,) = problems_of(lambda: Config(auth=auth))
    assert f"names {path}, which has a private key" in problem
    path.write_text("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n")
    config = Config(auth=auth)
    assert config.auth.public_key_file == path
    assert not config.auth.uses_shared_secret
    config.require_key()


JWKS = "https://id.example.com/.well-known/jwks.json"


def jwks(url: str, **auth: object) -> Config:
    return Config(auth={"algorithms": ["ES256"], "jwks_url": url} | auth)


@pytest.mark.parametrize(
    "url",
    [
        JWKS,
        "http://localhost/k",
        "http://localhost:8000",
        "http://127.0.0.1:9/k",
        "http://127.1.2.3/k",
        "http://[::1]:9/k",
    ],
)
def test_addresses_of_keys(url: str) -> None:
    config = jwks(url)
    assert config.auth.jwks_url == url
    config.require_key()


@pytest.mark.parametrize(
    "url",
    ["", "id.example.com", "ftp://id.example.com/k", "https://", "file:///etc/passwd", "https://[::1", "https://a b/"],
)
def test_what_is_no_address_of_keys(url: str) -> None:
    (problem,) = problems_of(lambda: jwks(url))
    assert problem.startswith("auth.jwks_url must be an address such as https://")


@pytest.mark.parametrize(
    "url",
    [
        *("http://id.example.com/k", "http://10.0.0.1/k", "http://127.0.0.1.evil.example/k", "http://localhost.evil/k"),
        *("http://127.0.0.1@evil.example/k", "http://0.0.0.0/k", "http://[::2]/k"),
    ],
)
def test_keys_do_not_come_over_an_open_network_unless_that_is_meant(url: str) -> None:
    (problem,) = problems_of(lambda: jwks(url))
    assert problem.startswith("auth.jwks_allow_http must be true for an auth.jwks_url that begins with http://")
    assert jwks(url, jwks_allow_http=True).auth.jwks_url == url


def test_there_is_one_source_of_keys(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n")
    (problem,) = problems_of(lambda: jwks(JWKS, public_key_file=path))
    assert problem.startswith("auth.jwks_url is set beside auth.public_key_file")
    (problem,) = problems_of(lambda: jwks(JWKS, algorithms=["HS256"], secret=SECRET))
    assert problem.startswith("auth.jwks_url is of no use with the shared-secret algorithms HS256")
    (problem,) = problems_of(lambda: jwks(JWKS, jwks_refresh_interval=600, jwks_max_age=599))
    assert problem.startswith("auth.jwks_max_age must be at least auth.jwks_refresh_interval")


def test_a_password_in_an_address_is_not_shown() -> None:
    (problem,) = problems_of(lambda: jwks("ftp://user:hunter2@id.example.com/"))
    assert "hunter2" not in problem
    (problem,) = problems_of(lambda: jwks("http://user:hunter2@id.example.com/"))
    assert "hunter2" not in problem


def test_a_gateway_needs_a_key() -> None:
    (problem,) = problems_of(Config().require_key)
    assert problem.startswith("auth.secret is not set: ")
    assert "FASTCOLLAB_AUTH__SECRET" in problem
    (problem,) = problems_of(Config(auth={"algorithms": ["RS256"], "secret": SECRET}).require_key)
    assert problem.startswith("auth.public_key_file is not set: ")
    Config(auth={"secret": SECRET}).require_key()


def test_a_section_by_itself_is_checked() -> None:
    with pytest.raises(ValidationError, match="secret"):
        AuthConfig(secret="short")  # type: ignore[arg-type]


# What is shown


def test_the_reference_sets_every_key_to_its_default(toml_file: TomlFile) -> None:
    text = config_reference()
    assert Config.load(toml_file(text)).model_dump() == Config().model_dump()
    for key, field in setting_fields().items():
        name = key.partition(".")[2]
        assert re.search(rf"^(# )?{name} =", text, re.MULTILINE), key
        assert description(field), key
        first_words = " ".join(description(field).split()[:5])
        assert first_words in text, key


def test_effective_values_name_their_sources(toml_file: TomlFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCOLLAB_AUTH__SECRET", SECRET)
    path = toml_file('[client]\nallowed_origins = ["https://a.example", "null"]\n')
    text = effective_config(Config.load(path, {"server.port": Setting(1, "flag --port")}))
    assert "port = 1  # flag --port\n" in text
    assert 'secret = "********"  # environment variable FASTCOLLAB_AUTH__SECRET\n' in text
    assert f'allowed_origins = ["https://a.example", "null"]  # {path}, line 2\n' in text
    assert "# issuer is not set  # default\n" in text
    shown = {f"{section}.{name}" for section, values in tomllib.loads(text).items() for name in values}
    assert shown == set(setting_fields()) - PROMISED_UNSET | {"auth.secret"}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_can_be_written_as_toml(text: str) -> None:
    assert tomllib.loads(f"x = {toml_value(text)}")["x"] == text


@given(st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_can_be_written_as_toml(number: float) -> None:
    written = tomllib.loads(f"x = {toml_value(number)}")["x"]
    assert (type(written), written) == (type(number), number)


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        (["k" * 31], "has a key, number 1, of 31 bytes: each has at least 32"),
        (["k" * 32, "deploy:" + "k" * 31], "has a key, number 2, of 31 bytes: each has at least 32"),
        (["k" * 20 + " " + "k" * 20], "has a key, number 1, that cannot be one: "),
        (["\u00e9" * 40], "has a key, number 1, that cannot be one: "),
        (["a name:" + "k" * 40], "has a key, number 1, that cannot be one: "),
    ],
)
def test_keys_that_are_none_are_told_and_not_shown(keys: list[str], wrong: str) -> None:
    (problem,) = problems_of(lambda: Config(ops={"api_keys": keys}))
    assert problem.startswith(f"ops.api_keys {wrong}")
    assert "kkk" not in problem


def test_keys_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCOLLAB_OPS__API_KEYS", f"deploy:{'a' * 32},{'b' * 31}=")
    config = Config()
    assert config.ops.named_keys() == [("deploy", "a" * 32), ("key 2", "b" * 31 + "=")]
    assert "aaa" not in effective_config(config)
    assert "aaa" not in repr(config)


def test_webhooks_need_an_address_that_is_one_and_a_secret() -> None:
    (problem,) = problems_of(lambda: Config(webhooks={"url": "https://app.example.com/events"}))
    assert problem.startswith("webhooks.secret must be set, since requests to webhooks.url are signed with it: ")
    (problem,) = problems_of(lambda: Config(webhooks={"url": "https://u:p@h/", "secret": "s" * 31}))
    assert problem == "webhooks.secret must have at least 32 bytes, and has 31 (keyword argument webhooks)"
    (problem,) = problems_of(lambda: Config(webhooks={"url": "ftp://pass@h/", "secret": SECRET}))
    assert problem.startswith("webhooks.url must be an address such as https://app.example.com/events")
    assert "pass" not in problem
    (problem,) = problems_of(lambda: Config(webhooks={"events": ["room_closed"]}))
    assert problem.startswith("webhooks.events ")
    (problem,) = problems_of(lambda: Config(webhooks={"document_delay": 20.0}))
    assert problem.startswith("webhooks.document_max_delay must be at least webhooks.document_delay, 20.0")
