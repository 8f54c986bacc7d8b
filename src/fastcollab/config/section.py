"""What sections of the configuration have in common, and what several of them check.

Sections are the only place where settings are described, each with its type, its bounds, its default and its meaning:
what ``fastcollab config defaults`` prints and what ``docs/configuration.md`` tabulates is read from them.

Text stands for any type, because the environment and flags have nothing else: numbers and ``true``/``false``
are read from it, and a list is written with commas or as a JSON array.

A validator that compares two settings belongs to the later one of the two, since pydantic checks the fields
of a model in order and shows a validator only those before it. Messages of validators continue a sentence
that begins with the key of the setting: "fanout.max_interval_ms must be at least ...".
"""

import json
import re
from typing import TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationInfo, field_validator

Number = TypeVar("Number", int, float)

HTTP_URL = re.compile(r"https?://[^/?#\s]+(/[^#\s]*)?")

_SIGNING_SECRET_BYTES = 32


class Section(BaseModel):
    """What all sections have in common: no unknown key, no change, no infinity, and checked defaults."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _read_text(cls, value: object, info: ValidationInfo) -> object:
        assert info.field_name is not None  # It is None in validators of whole models only.
        annotation = cls.model_fields[info.field_name].annotation
        if isinstance(value, bool) and annotation is not bool:
            # Python takes True for 1; a port of `true` is a mistake all the same.
            raise ValueError(f"cannot be {str(value).lower()}")
        if isinstance(value, str) and _is_list(annotation):
            return _list_from_text(value)
        return value


def at_least(value: Number, info: ValidationInfo, other: str, section: str) -> Number:
    """``value``, unless the earlier field ``other`` of the same section, where valid, is greater."""
    bound = info.data.get(other)
    if bound is not None and value < bound:
        raise ValueError(f"must be at least {section}.{other}, {bound:_}, got {value:_}")
    return value


def http_url(url: str | None, example: str) -> str | None:
    # An address may carry a password, so it is not repeated.
    if url is not None and not HTTP_URL.fullmatch(url):
        raise ValueError(f"must be an address such as {example}")
    return url


def signing_secret(secret: SecretStr | None, info: ValidationInfo, section: str, *urls: str) -> SecretStr | None:
    """``secret``, if it is there and long enough to sign requests to those of the addresses that are set."""
    if secret is None:
        for name in urls:
            if info.data.get(name) is not None:
                raise ValueError(
                    f"must be set, since requests to {section}.{name} are signed with it: for example "
                    "to `openssl rand -hex 32`"
                )
    elif (size := len(secret.get_secret_value().encode())) < _SIGNING_SECRET_BYTES:
        raise ValueError(f"must have at least {_SIGNING_SECRET_BYTES} bytes, and has {size}")
    return secret


def _list_from_text(text: str) -> list[str]:
    if text.lstrip().startswith("["):
        try:
            return list(json.loads(text))
        except ValueError as error:
            raise ValueError(f"begins with [ and is not a JSON array: {error}") from None
    return [item.strip() for item in text.split(",") if item.strip()]


def _is_list(annotation: object) -> bool:
    """Whether a setting of this type, or of this type or None, is a list."""
    return any(get_origin(each) is tuple for each in (annotation, *get_args(annotation)))
