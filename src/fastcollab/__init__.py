"""A WebSocket gateway for real-time collaboration: rooms, cursors, and documents under operational transformation."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastcollab.config import Config as Config
    from fastcollab.server.gateway import Gateway as Gateway

__version__ = "0.1.0"

__all__ = ["Config", "Gateway", "__version__"]


def __getattr__(name: str) -> Any:
    # Imported on first use: a client or a command that needs no server does not load one.
    if name == "Config":
        from fastcollab.config import Config

        return Config
    if name == "Gateway":
        from fastcollab.server.gateway import Gateway

        return Gateway
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
