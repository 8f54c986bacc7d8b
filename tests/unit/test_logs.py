"""What is logged, in which form, and that no secret is in it."""

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator

import jwt
import pytest
import structlog

from fastcollab.config import Config
from fastcollab.logs import configure_logging, get_logger

SECRET = 'a "quoted" secret\nof ann\'s that has more than 32 bytes: é'
TOKEN = jwt.encode({"sub": "ann"}, "k" * 32, algorithm="HS256")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.contextvars.clear_contextvars()


def configured(stream: io.StringIO, **log: str) -> io.StringIO:
    configure_logging(Config(auth={"secret": SECRET}, log=log), stream)
    return stream


def events(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_in_json() -> None:
    stream = configured(io.StringIO())
    structlog.contextvars.bind_contextvars(connection="c1")
    get_logger("fastcollab.server").info("connection refused", origin="https://x", numeric_id=7)
    (event,) = events(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(event.pop("timestamp")))
    assert event == {
        "level": "info",
        "logger": "fastcollab.server",
        "event": "connection refused",
        "connection": "c1",
        "origin": "https://x",
        "numeric_id": 7,
    }
    assert list(event) == ["level", "logger", "event", *list(event)[3:]]


def test_libraries_log_in_the_same_form() -> None:
    stream = configured(io.StringIO())
    logging.getLogger("asyncio").warning("%s took %d ms", "callback", 100)
    (event,) = events(stream)
    assert (event["level"], event["logger"], event["event"]) == ("warning", "asyncio", "callback took 100 ms")


def test_warnings_are_logged() -> None:
    stream = configured(io.StringIO())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("never awaited", RuntimeWarning, stacklevel=1)
    (event,) = events(stream)
    assert event["logger"] == "py.warnings"
    assert "never awaited" in str(event["event"])


@pytest.mark.parametrize(
    ("level", "written"),
    [("debug", 5), ("info", 4), ("warning", 3), ("error", 2), ("critical", 1)],
)
def test_levels(level: str, written: int) -> None:
    stream = configured(io.StringIO(), level=level)
    log = get_logger("fastcollab.test")
    for each in (log.debug, log.info, log.warning, log.error, log.critical):
        each("an event")
    assert len(events(stream)) == written


def test_a_second_call_replaces_the_first() -> None:
    log = get_logger("fastcollab.test")
    first = configured(io.StringIO())
    log.info("one")
    second = configured(io.StringIO(), level="error")
    log.info("two")
    log.error("three")
    assert [event["event"] for event in events(first)] == ["one"]
    assert [event["event"] for event in events(second)] == ["three"]


def test_forms() -> None:
    log = get_logger("fastcollab.test")
    for stream, form, is_json in (
        (io.StringIO(), "auto", True),
        (Terminal(), "auto", False),
        (Terminal(), "json", True),
        (io.StringIO(), "console", False),
    ):
        configured(stream, format=form)
        log.info("an event", room="r1")
        assert stream.getvalue().startswith("{") == is_json
        assert ("\x1b[" in stream.getvalue()) == (isinstance(stream, Terminal) and not is_json)


def test_colors_can_be_declined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = configured(Terminal())
    get_logger("fastcollab.test").info("an event", room="r1")
    assert "\x1b" not in stream.getvalue()
    assert "an event" in stream.getvalue()
    assert "room=r1" in stream.getvalue()


def test_a_field_does_not_hide_what_every_event_has() -> None:
    stream = configured(io.StringIO())
    get_logger("fastcollab.test").info("an event", level=3, logger="x", timestamp=0, name="n", msg="m")
    (event,) = events(stream)
    assert (event["level"], event["logger"], event["event"]) == ("info", "fastcollab.test", "an event")
    assert (event["level_"], event["logger_"], event["timestamp_"]) == (3, "x", 0)
    assert (event["name"], event["msg"]) == ("n", "m")


def test_any_value_can_be_logged() -> None:
    stream = configured(io.StringIO())
    get_logger("fastcollab.test").info(
        "an event",
        a=2**70,
        b=float("nan"),
        c=b"\xff",
        d={1: {2}},
        e=object,
        f="\ud800",
        g=None,
        h=(1.5, True),
    )
    (event,) = events(stream)
    assert event["a"] == 2**70
    assert event["b"] == "nan"
    assert event["c"] == "b'\\xff'"
    assert event["d"] == {"1": [2]}
    assert event["h"] == [1.5, True]


def every_way_to_log_a_secret(secret: str) -> None:
    log = get_logger("fastcollab.test")
    log.info(f"got {secret}")
    log.info(
        "an event",
        detail=secret,
        nested={"list": [{"x": f"?t={secret}&"}]},
        other=(secret.encode(), {secret}),
    )
    log.info("an event", quotes=[f"'\"{secret}"], exception_value=ValueError(secret), **{f"key-{secret}": 1})
    logging.getLogger("library").error("failed with %r and %s", secret, secret)
    for method in (log.exception, logging.getLogger("library").exception):
        local = f"local {secret}"
        try:
            raise ValueError(f"cannot use {local[6:]}")
        except ValueError:
            method("failed")


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("secret", [TOKEN, f"fastcollab.token.{TOKEN}", f"Bearer {TOKEN}"])
def test_tokens_are_not_logged(form: str, secret: str) -> None:
    stream = configured(io.StringIO(), format=form)
    every_way_to_log_a_secret(secret)
    written = stream.getvalue()
    for part in TOKEN.split("."):
        assert part not in written
    assert written.count("********") >= 10


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("secret", ["0123456789abcdef0123456789abcdef", SECRET])
def test_secrets_of_the_configuration_are_not_logged(form: str, secret: str) -> None:
    stream = io.StringIO()
    configure_logging(Config(auth={"secret": secret}, log={"format": form}), stream)
    every_way_to_log_a_secret(secret)
    for line in stream.getvalue().splitlines():
        assert secret not in line
        assert "0123456789" not in line
        assert not re.search("quoted|ann.{0,2}'s that|bytes:", line)
    assert stream.getvalue().count("********") >= 10


def test_fields_that_hold_secrets_are_masked_by_name() -> None:
    stream = configured(io.StringIO())
    get_logger("fastcollab.test").info(
        "an event",
        token="opaque",
        api_key="opaque",
        headers={"Authorization": "Basic opaque", "Cookie": "opaque", "X-Api-Key": "opaque", "Host": "h"},
        access_token=["opaque"],
        private_key=b"opaque",
        tokens=3,
        token_count=4,
    )
    assert "opaque" not in stream.getvalue()
    (event,) = events(stream)
    assert (event["tokens"], event["token_count"]) == (3, 4)
    assert event["headers"] == {"Authorization": "********", "Cookie": "********", "X-Api-Key": "********",
                                "Host": "h"}  # fmt: skip


def test_a_traceback_is_logged_without_local_variables() -> None:
    for form in ("json", "console"):
        stream = configured(io.StringIO(), format=form)
        hidden = "value of a local variable"
        try:
            raise RuntimeError(f"of {len(hidden)}")
        except RuntimeError:
            get_logger("fastcollab.test").exception("failed")
        assert "RuntimeError: of 25" in stream.getvalue()
        assert "Traceback" in stream.getvalue()
        assert stream.getvalue().count(hidden) == 0


def test_the_stack_can_be_logged() -> None:
    for form in ("json", "console"):
        stream = configured(io.StringIO(), format=form)
        get_logger("fastcollab.test").info("an event", stack_info=True)
        assert "in test_the_stack_can_be_logged" in stream.getvalue()


def test_input_cannot_drive_a_terminal() -> None:
    stream = configured(io.StringIO(), format="console")
    get_logger("fastcollab.test").info("joined \x1b[2J", name="\x9b1mann\r\x07\u202e\u2028")
    written = stream.getvalue()
    assert not set(written) & set("\x1b\x9b\r\x07\u202e\u2028")
    assert r"joined \x1b[2J" in written


def test_a_program_that_embeds_the_gateway_gets_ordinary_records(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        get_logger("fastcollab.server").info("connection refused %", origin="https://x")
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("fastcollab.server", "connection refused %")
    assert record.fields == {"origin": "https://x"}  # type: ignore[attr-defined]
