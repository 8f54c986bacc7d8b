"""What the commands of the command line have in common: the configuration, and how they fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from fastcollab.config import Config

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="TOML file with settings.", show_default=False)
]
EngineOption = Annotated[str | None, typer.Option("--engine", metavar="URL", help="Where documents live (engine.url).")]


def load_config(path: Path | None, overrides: dict[str, object] | None = None, needs_key: bool = False) -> Config:
    """The configuration. Problems end the command, with a line each on the standard error stream."""
    from fastcollab.config import Config, ConfigError

    try:
        config = Config.load(path, overrides)
        if needs_key:
            config.require_key()
    except ConfigError as error:
        fail([str(problem) for problem in error.problems])
    return config


def fail(lines: Sequence[str]) -> NoReturn:
    for line in lines:
        typer.echo(f"fastcollab: {line}", err=True)
    raise typer.Exit(1)
