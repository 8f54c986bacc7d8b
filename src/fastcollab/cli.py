"""The command line.

A command imports what it needs when it runs, so that ``fastcollab version`` does not wait for the gateway's
modules. What a command has been asked for goes to the standard output; whatever keeps it from doing so is one
line each on the standard error stream, and a non-zero exit code: 1, or 2 where the command line itself is
wrong.

A further command is a function that is registered at the end of this module: ``app.command()(function)``.
"""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from fastcollab import __version__
from fastcollab._command import ConfigOption, EngineOption, fail, load_config
from fastcollab._system import reason
from fastcollab.bench.cli import load
from fastcollab.demo import demo
from fastcollab.document_cli import document_app
from fastcollab.recording.cli import record
from fastcollab.top import top

app = typer.Typer(
    help="A WebSocket gateway for real-time collaboration.",
    no_args_is_help=True,
    add_completion=False,
    # Typer's own tracebacks would show local variables, and with them tokens and secrets.
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Check, show and explain the configuration.", no_args_is_help=True)


def main() -> None:
    """The entry point of the command ``fastcollab``."""
    app(prog_name="fastcollab")


def serve(
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (server.host).")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port, 0: any free one (server.port).")] = None,
    ops_port: Annotated[
        int | None, typer.Option(help="TCP port of health checks, on an address of its own (ops.port).")
    ] = None,
    engine: EngineOption = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve the port (server.workers).")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other setting, by its dotted key."),
    ] = None,
) -> None:
    """Run the gateway until it is told to stop (SIGTERM, or Ctrl-C)."""
    from fastcollab.config import Setting

    overrides: dict[str, object] = {}
    for assignment in settings or []:
        key, equals, value = assignment.partition("=")
        if not equals:
            fail([f"--set takes KEY=VALUE, not {assignment!r}"])
        overrides[key] = Setting(value, "flag --set")
    for flag, key, given in (
        ("--host", "server.host", host),
        ("--port", "server.port", port),
        ("--ops-port", "ops.port", ops_port),
        ("--engine", "engine.url", engine),
        ("--workers", "server.workers", workers),
    ):
        if given is not None:
            overrides[key] = Setting(given, f"flag {flag}")
    loaded = load_config(config, overrides, needs_key=True)

    import uvloop

    from fastcollab.logs import configure_logging
    from fastcollab.serving.plan import CannotServe, Kept, engine_to_serve
    from fastcollab.serving.service_manager import ServiceManager

    manager = ServiceManager.of(os.environ)

    def announce(url: str) -> None:
        typer.echo(f"fastcollab {__version__} accepts connections on {url}")
        manager.ready()

    configure_logging(loaded)
    try:
        settled = loaded.model_copy(update={"engine": engine_to_serve(loaded, Kept.here())})
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if settled.server.workers == 1:
                from fastcollab.serving.process import run_gateway

                runner.run(run_gateway(settled, lambda gateway: announce(gateway.url)))
            else:
                from fastcollab.serving.supervisor import supervise

                runner.run(supervise(settled, announce))
    except CannotServe as error:
        fail(error.lines)


def token(
    user: Annotated[str, typer.Option(metavar="ID", help="The user's id (sub).")],
    rooms: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN=PERMISSION", help="Rooms by glob pattern, with read, write or admin."),
    ] = None,
    ttl: Annotated[int, typer.Option(metavar="SECONDS", help="How long the token is valid.")] = 3600,
    name: Annotated[str | None, typer.Option(help="The name that others see.")] = None,
    color: Annotated[str | None, typer.Option(metavar="#RRGGBB", help="The user's color.")] = None,
    private_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM file to sign with, for public-key algorithms.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Print a signed token that the gateway of this configuration accepts."""
    loaded = load_config(config)
    from fastcollab.tokens import sign_token

    permissions: dict[str, str] = {}
    for assignment in rooms or []:
        pattern, equals, permission = assignment.rpartition("=")
        if not equals:
            fail([f"--rooms takes PATTERN=PERMISSION, not {assignment!r}"])
        permissions[pattern] = permission
    try:
        pem = private_key.read_bytes() if private_key else None
        signed = sign_token(loaded, user, rooms=permissions or None, ttl=ttl, name=name, color=color, private_key=pem)
    except OSError as error:
        fail([f"{private_key} cannot be read: {reason(error)}"])
    except ValueError as error:
        fail([str(error)])
    typer.echo(signed)


def version() -> None:
    """Print the version."""
    typer.echo(f"fastcollab {__version__}")


def check_config(config: ConfigOption = None) -> None:
    """Say whether a gateway could start with this configuration, or all that is wrong with it."""
    load_config(config, needs_key=True)
    typer.echo("configuration is valid")


def show_config(config: ConfigOption = None) -> None:
    """Print the values in force, with the source of each; secrets are masked."""
    from fastcollab.config import effective_config

    typer.echo(effective_config(load_config(config)), nl=False)


def print_defaults() -> None:
    """Print a configuration file with every setting, its meaning and its default."""
    from fastcollab.config import config_reference

    typer.echo(config_reference(), nl=False)


app.command()(serve)
app.command()(load)
app.command()(record)
app.command()(token)
app.command()(demo)
app.command()(top)
app.command()(version)
app.add_typer(document_app, name="document")
app.add_typer(config_app, name="config")
config_app.command("check")(check_config)
config_app.command("show")(show_config)
config_app.command("defaults")(print_defaults)
