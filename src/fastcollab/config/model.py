"""The configuration as a whole: one section model each, from layered sources, with the origin of every value.

A value comes from the first of these that has one: keyword arguments or flags, the environment
(``FASTCOLLAB_SERVER__PORT``), a TOML file, the default. :meth:`Config.load` reads all of them, and
``Config(server={"port": 9000})`` does without a file.

A ``Config`` that exists is valid and never changes. Whatever is wrong with the sources is raised at once, as
one :class:`ConfigError` that lists every problem with its key and its origin.
"""

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, PrivateAttr, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from fastcollab.config.auth import AuthConfig
from fastcollab.config.collaboration import DocumentsConfig, FanoutConfig, PresenceConfig, RoomsConfig
from fastcollab.config.edge import ClientConfig, CompressionConfig, LimitsConfig, ServerConfig, TlsConfig
from fastcollab.config.engine import EngineConfig
from fastcollab.config.problems import ConfigError, ConfigProblem
from fastcollab.config.section import Section
from fastcollab.config.sources import Layer, LayerReader, environment_variable
from fastcollab.config.surroundings import BackendConfig, LogConfig, OpsConfig, TracingConfig, WebhooksConfig


class Config(BaseSettings):
    """All settings of a gateway.

    Keyword arguments are sections, each a mapping of names to values or a section model. They take precedence
    over the environment. Raises :class:`ConfigError` with all that is wrong.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    server: ServerConfig = ServerConfig()
    tls: TlsConfig = TlsConfig()
    auth: AuthConfig = AuthConfig()
    client: ClientConfig = ClientConfig()
    compression: CompressionConfig = CompressionConfig()
    limits: LimitsConfig = LimitsConfig()
    rooms: RoomsConfig = RoomsConfig()
    presence: PresenceConfig = PresenceConfig()
    fanout: FanoutConfig = FanoutConfig()
    documents: DocumentsConfig = DocumentsConfig()
    backend: BackendConfig = BackendConfig()
    webhooks: WebhooksConfig = WebhooksConfig()
    engine: EngineConfig = EngineConfig()
    ops: OpsConfig = OpsConfig()
    log: LogConfig = LogConfig()
    tracing: TracingConfig = TracingConfig()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def __init__(self, _sources: "_Sources | None" = None, /, **sections: BaseModel | Mapping[str, object]) -> None:
        if _sources is None:
            reader = LayerReader(frozenset(setting_fields()))
            layers = [reader.keywords(sections), reader.environment(os.environ)]
        else:
            reader, layers = _sources
        problems = list(reader.problems)
        # The highest layer that has a key is the one that a message about its value names.
        origins = {key: setting.origin for layer in reversed(layers) for key, setting in layer.items()}
        try:
            super().__init__(layers=layers)
        except ValidationError as error:
            problems += [_problem(details, origins) for details in error.errors(include_url=False)]
        if problems:
            raise ConfigError(problems)
        self._origins = origins

    @classmethod
    def load(cls, path: Path | None = None, overrides: Mapping[str, object] | None = None) -> "Config":
        """The configuration from ``overrides`` (by dotted key), the environment and the TOML file ``path``.

        An override may be a :class:`~fastcollab.config.Setting`, which names the flag that it came
        from. Raises :class:`ConfigError` with all that is wrong in any of them.
        """
        reader = LayerReader(frozenset(setting_fields()))
        layers = [reader.overrides(overrides or {}), reader.environment(os.environ)]
        if path is not None:
            layers.append(reader.file(path))
        return cls((reader, layers))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The layers are the sources: pydantic-settings' own do not remember where a value came from."""
        layers: list[Layer] = init_settings()["layers"]
        return tuple(_LayerSource(settings_cls, layer) for layer in layers)

    def origin(self, key: str) -> str:
        """Where the value of the dotted ``key`` came from: file and line, variable, flag, or ``default``."""
        return self._origins.get(key, "default")

    def require_key(self) -> None:
        """Raises :class:`ConfigError` unless there is a key to check tokens with, as every gateway needs."""
        if self.auth.uses_shared_secret and self.auth.secret is None:
            key = "auth.secret"
            how = f"set {environment_variable(key)} in the environment, for example to `openssl rand -hex 32`"
        elif not self.auth.uses_shared_secret and self.auth.public_key_file is None and self.auth.jwks_url is None:
            key = "auth.public_key_file"
            how = (
                f"name the PEM file of the public key there, or in {environment_variable(key)}, "
                "or the address of a key set in auth.jwks_url"
            )
        else:
            return
        needed_for = ", ".join(self.auth.algorithms)
        raise ConfigError([ConfigProblem(key, f"is not set: tokens ({needed_for}) are checked with it; {how}")])


_Sources = tuple[LayerReader, list[Layer]]


class _LayerSource(PydanticBaseSettingsSource):
    """One layer in the form in which pydantic-settings takes its sources: by section and name."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._sections: dict[str, dict[str, object]] = {}
        for key, setting in layer.items():
            section, _, name = key.partition(".")
            self._sections.setdefault(section, {})[name] = setting.value

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:
        return self._sections.get(field_name), field_name, False

    def __call__(self) -> dict[str, object]:
        return dict(self._sections)


@cache
def section_models() -> Mapping[str, type[Section]]:
    """The model of each section by its name, in order."""
    return {
        name: field.annotation
        for name, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    }


@cache
def setting_fields() -> Mapping[str, FieldInfo]:
    """Every setting by its dotted key, in order."""
    return {
        f"{section}.{name}": field
        for section, model in section_models().items()
        for name, field in model.model_fields.items()
    }


def _problem(details: ErrorDetails, origins: Mapping[str, str]) -> ConfigProblem:
    """What pydantic says about one value, in our words."""
    key = ".".join(str(part) for part in details["loc"][:2])
    origin = origins.get(key, "default")
    if details["type"] == "value_error":
        return ConfigProblem(key, str(details["ctx"]["error"]), origin)
    message = re.sub(r"^\w+ should ", "must ", details["msg"])
    field = setting_fields().get(key)
    if field is None or SecretStr not in get_args(field.annotation):
        given = repr(details["input"])
        message += f", got {given if len(given) <= 60 else given[:57] + '...'}"
    return ConfigProblem(key, message, origin)
