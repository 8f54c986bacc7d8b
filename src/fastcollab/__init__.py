"""A WebSocket gateway for real-time collaboration: rooms, cursors, and shared documents."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastcollab.config import Config as Config
    from fastcollab.config import ConfigError as ConfigError
    from fastcollab.server.gateway import Gateway as Gateway

__version__ = "0.1.0"

__all__ = ["Config", "ConfigError", "Gateway", "__version__"]


def __getattr__(name: str) -> Any:
    # Imported on first use: a client or a command that needs no server does not load one.
    if name in ("Config", "ConfigError"):
        from fastcollab import config

        return getattr(config, name)
    if name == "Gateway":
        from fastcollab.server.gateway import Gateway

        return Gateway
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
