"""Logging: structured events on one stream, without secrets.

Every module asks for its logger with ``log = get_logger(__name__)`` and says what happened with fields beside
it: ``log.warning("connection refused", origin=origin)``. Each event becomes an ordinary record of the
standard library's ``logging``, with its fields in ``record.fields``. So our events and those of libraries
share level, stream and format, and a program that embeds the gateway decides about them as about any other
logger, under the name ``fastcollab``. The command line calls :func:`configure_logging`.

No token and no secret is written. Three nets catch them, since any one can be missed: a field whose name says
that it is secret is masked whole; what looks like a JWT is masked wherever it stands, be it in the message of
a library or of an exception; and so is the very text of each secret in the configuration. Tracebacks show no
local variables.
"""

import json
import logging
import math
import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO, cast

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from fastcollab.config import MASK, Config, section_models

_SECRET_FIELD = re.compile(
    r"(.*[_-])?(token|secret|password|passwd|authorization|cookie|jwt|api[_-]?key|private[_-]?key)",
    re.IGNORECASE,
)
# The base64url parts of a JWT, of which the first encodes an object and so begins with that of '{"'.
_JWT = re.compile(r"eyJ[\w-]{5,}\.[\w-]+(\.[\w-]*)?")
# Control characters other than tab and newline, which could drive a terminal, and what ends a line or has the rest of
# it run backwards.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text, with control characters escaped if they could act on a terminal."""
    return _CONTROL.sub(_escaped, text)


def _escaped(control: re.Match[str]) -> str:
    code = ord(control[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger of structured events, which become records of the standard library's logger ``name``.

    It depends on no global setting of structlog, so that a program that embeds the gateway keeps its own.
    """
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[structlog.stdlib.filter_by_level, structlog.contextvars.merge_contextvars, _as_record],
    )
    return cast(structlog.stdlib.BoundLogger, logger)


def configure_logging(config: Config, stream: TextIO | None = None) -> None:
    """Write all that this process logs to ``stream`` (the standard error stream), as ``config.log`` says.

    Calling it again replaces what an earlier call set up.
    """
    stream = stream or sys.stderr
    is_terminal = stream.isatty()
    as_json = config.log.format == "json" or (config.log.format == "auto" and not is_terminal)
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                _from_record,
                structlog.processors.format_exc_info,
                _Cleaner(_secrets(config), escape_controls=not as_json),
                _render_json if as_json else _console_renderer(is_terminal),
            ]
        )
    )
    root = logging.getLogger()
    for earlier in [each for each in root.handlers if isinstance(each, _Handler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(config.log.level.upper())
    logging.captureWarnings(True)


class _Handler(logging.StreamHandler[TextIO]):
    """The handler of :func:`configure_logging`, told by its class from those of others."""


def _as_record(_logger: WrappedLogger, _method: str, event: EventDict) -> tuple[tuple[str], dict[str, object]]:
    """The arguments of the ``logging`` call for an event: its text, and all else beside it."""
    passed_on = {name: event.pop(name) for name in ("exc_info", "stack_info") if name in event}
    text = str(event.pop("event"))
    return (text,), {**passed_on, "extra": {"fields": event}}


def _from_record(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The event in a record, ours or a library's, in the order in which it is written."""
    record: logging.LogRecord = event["_record"]
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return {
        "timestamp": moment.replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": event["event"],
        **({"exc_info": raised} if (raised := event.get("exc_info")) else {}),
        **({"stack": stack} if (stack := event.get("stack_info")) else {}),
        **{_field_name(name): value for name, value in getattr(record, "fields", {}).items()},
    }


def _field_name(name: str) -> str:
    """The name of a field, unless it would hide what every event has."""
    return f"{name}_" if name in {"timestamp", "level", "logger", "event"} else name


class _Cleaner:
    """Turns an event into plain data without secrets, and without control characters if they could act."""

    def __init__(self, secrets: list[str], escape_controls: bool) -> None:
        # The longest first, should one contain another.
        self._secrets = sorted({text for secret in secrets for text in _spellings(secret)}, key=len, reverse=True)
        self._escape_controls = escape_controls

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return cast(EventDict, self._clean(event))

    def _clean(self, value: object) -> object:
        match value:
            case None | bool() | int():
                return value
            case float():
                return value if math.isfinite(value) else repr(value)
            case str():
                return self._clean_text(value)
            case Mapping():
                return {
                    self._clean_text(str(name)): MASK if _SECRET_FIELD.fullmatch(str(name)) else self._clean(each)
                    for name, each in value.items()
                }
            case list() | tuple() | set() | frozenset():
                return [self._clean(each) for each in value]
            case _:
                return self._clean_text(repr(value))

    def _clean_text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        text = _JWT.sub(MASK, text)
        if self._escape_controls:
            text = printable(text)
        return text


def _secrets(config: Config) -> list[str]:
    """The text of every secret that is set in ``config``."""
    values = (
        getattr(getattr(config, section), name)
        for section, model in section_models().items()
        for name in model.model_fields
    )
    texts = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    return texts + [key for _, key in config.ops.named_keys()]


def _spellings(secret: str) -> set[str]:
    """``secret`` as it stands in text, and in what ``repr`` and JSON make of it or of its bytes."""
    quoted = {repr(secret)[1:-1], repr(secret.encode())[2:-1], json.dumps(secret)[1:-1]}
    quoted.add(json.dumps(secret, ensure_ascii=False)[1:-1])
    # Whether an apostrophe is escaped depends on the other quotes in the text around it.
    return {secret, *quoted, *(each.replace("'", "\\'") for each in quoted)}


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return json.dumps(event)


def _console_renderer(is_terminal: bool) -> Processor:
    colors = is_terminal and "NO_COLOR" not in os.environ
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
