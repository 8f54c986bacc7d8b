"""The configuration as TOML: the reference with every default, and the values that are in force."""

import json
import textwrap
import types
from pathlib import Path
from typing import Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from fastcollab.config.engine import MASK, without_password
from fastcollab.config.model import Config, section_models

_WIDTH = 100


def config_reference() -> str:
    """A TOML file that sets every key to its default, below a comment on what the key means and takes."""
    lines = [
        "# Every setting of fastcollab with its default. The environment takes precedence over this file:",
        "# FASTCOLLAB_SERVER__PORT=9000 in it is port = 9000 in the section [server].",
    ]
    for section, model in section_models().items():
        lines += ["", *_comment((model.__doc__ or "").strip()), f"[{section}]"]
        for name, field in model.model_fields.items():
            lines += ["", *_comment(description(field)), *_comment(f"Takes: {accepted_values(field)}")]
            lines.append(f"# {name} =" if field.default is None else f"{name} = {toml_value(field.default)}")
    return "\n".join(lines) + "\n"


def effective_config(config: Config) -> str:
    """The values in force as TOML, each with its origin in a comment; secrets are masked."""
    lines: list[str] = []
    for section, model in section_models().items():
        lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        for name in model.model_fields:
            value = getattr(getattr(config, section), name)
            setting = f"# {name} is not set" if value is None else f"{name} = {without_password(toml_value(value))}"
            lines.append(f"{setting}  # {config.origin(f'{section}.{name}')}")
    return "\n".join(lines) + "\n"


def description(field: FieldInfo) -> str:
    """What the setting means, on one line."""
    return " ".join((field.description or "").split())


def accepted_values(field: FieldInfo) -> str:
    """The values that a setting takes, in words: ``integer, 0 to 65_535``."""
    kind = next(
        words
        for type_, words in (
            (bool, "true or false"),
            (int, "integer"),
            (float, "number"),
            (Path, "path"),
            (tuple, "list of strings"),
            (str, "string"),
            (SecretStr, "string"),
            (Literal, "one of " + ", ".join(_choices(field.annotation))),
        )
        if type_ in _types(field.annotation)
    )
    bounds = {type(bound): bound for bound in field.metadata}
    range_ = ""
    if low := bounds.get(Ge):
        range_ = f", {toml_value(low.ge)} to {toml_value(bounds[Le].le)}"
    elif low := bounds.get(Gt):
        range_ = f", above {toml_value(low.gt)} and up to {toml_value(bounds[Le].le)}"
    return kind + range_


def toml_value(value: object) -> str:
    """``value`` in TOML."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return f"{value:_}" if value >= 10_000 else str(value)
        case float():
            return repr(value)
        case SecretStr():
            return toml_value(MASK)
        case tuple():
            return f"[{', '.join(map(toml_value, value))}]"
        case _:
            # JSON escapes all that TOML forbids in a string, except for the control character DEL.
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _types(annotation: object) -> tuple[object, ...]:
    """The bare types that an annotation is made of: ``(tuple, NoneType)`` for ``tuple[str, ...] | None``."""
    return tuple(get_origin(member) or member for member in _members(annotation))


def _choices(annotation: object) -> list[str]:
    """The values of a literal type, which may be one of a union."""
    return [
        str(value) for member in _members(annotation) for value in get_args(member) if get_origin(member) is Literal
    ]


def _members(annotation: object) -> tuple[object, ...]:
    # A literal type makes another union with None than a class does.
    return get_args(annotation) if get_origin(annotation) in (types.UnionType, Union) else (annotation,)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
