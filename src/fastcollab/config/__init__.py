"""The gateway's configuration: what can be set, from where it is read, and how it is shown."""

from fastcollab.config.auth import HMAC_KEY_BYTES, PUBLIC_KEY_ALGORITHMS, AuthConfig
from fastcollab.config.collaboration import DocumentsConfig, FanoutConfig, PresenceConfig, RoomsConfig
from fastcollab.config.edge import ClientConfig, CompressionConfig, LimitsConfig, ServerConfig, TlsConfig
from fastcollab.config.engine import MASK, EngineConfig, RedisUrl
from fastcollab.config.model import Config, section_models, setting_fields
from fastcollab.config.problems import ConfigError, ConfigProblem
from fastcollab.config.reference import config_reference, effective_config
from fastcollab.config.sources import Setting
from fastcollab.config.surroundings import BackendConfig, LogConfig, OpsConfig, TracingConfig, WebhooksConfig

__all__ = [
    "HMAC_KEY_BYTES",
    "MASK",
    "PUBLIC_KEY_ALGORITHMS",
    "AuthConfig",
    "BackendConfig",
    "ClientConfig",
    "CompressionConfig",
    "Config",
    "ConfigError",
    "ConfigProblem",
    "DocumentsConfig",
    "EngineConfig",
    "FanoutConfig",
    "LimitsConfig",
    "LogConfig",
    "OpsConfig",
    "PresenceConfig",
    "RedisUrl",
    "RoomsConfig",
    "ServerConfig",
    "Setting",
    "TlsConfig",
    "TracingConfig",
    "WebhooksConfig",
    "config_reference",
    "effective_config",
    "section_models",
    "setting_fields",
]
