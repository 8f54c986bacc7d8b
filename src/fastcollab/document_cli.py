"""``fastcollab document``: what is stored, to look at, to take out and to put back.

The commands work on the store itself, whether a gateway is running on it or not. One that is running is not told: of a
document that was replaced or deleted it learns when somebody next writes to it, and then its members are told to join
again (OT6).
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcollab._command import ConfigOption, EngineOption, fail, load_config
from fastcollab._system import reason
from fastcollab.errors import FastcollabError, VersionMismatch

if TYPE_CHECKING:
    from fastcollab.config import Config
    from fastcollab.ports import DocumentStore, DocumentSummary, StoredDocument

document_app = typer.Typer(help="Look at stored documents, export and import them.", no_args_is_help=True)

RoomArgument = Annotated[str, typer.Argument(metavar="ROOM", help="The room's id.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]

#: How much of an operation a table shows.
_SHORTENED = 60


class NoDocument(FastcollabError):
    """The room has no document in the store."""

    def __init__(self, room: str) -> None:
        super().__init__(f"there is no document of room {room!r}")


@document_app.command("list")
def list_documents(json: JsonOption = False, config: ConfigOption = None, engine: EngineOption = None) -> None:
    """List all documents."""
    from fastcollab._output import Listing, time_text

    async def run(store: DocumentStore, config: Config) -> None:
        listing = Listing("room", "type", ">version", ">oldest", "changed (UTC)", ">log bytes", json=json)
        async for each in _all(store):
            changed = time_text(each.changed_at)
            listing.add(each, each.room_id, each.type, each.version, each.oldest, changed, each.log_bytes)
        listing.end()

    _on_store(config, engine, run)


@document_app.command()
def show(
    room: RoomArgument,
    version: Annotated[int | None, typer.Option(metavar="N", min=0, help="An earlier version.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object, with type, version and epoch.")] = False,
    config: ConfigOption = None,
    engine: EngineOption = None,
) -> None:
    """Print the content of a document: a text as it is, any other as JSON."""
    from fastcollab._output import print_json
    from fastcollab.document_file import encode_document
    from fastcollab.logs import printable
    from fastcollab.ot import ABSENT

    async def run(store: DocumentStore, config: Config) -> None:
        stored, content = await _at(store, room, version)
        if json:
            print_json(encode_document(room, stored, content))
        elif content is ABSENT:
            typer.echo("an operation has removed the document", err=True)
        elif isinstance(content, str):
            text = printable(content) if sys.stdout.isatty() else content
            # As bytes, since of what goes into a pipe `echo` would take out what drives terminals.
            typer.echo(text.encode(), nl=not text.endswith("\n"))
        else:
            print_json(content, pretty=True)

    _on_store(config, engine, run)


@document_app.command()
def export(
    room: Annotated[str | None, typer.Argument(metavar="ROOM", help="The room's id.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Export all documents.")] = False,
    history: Annotated[bool, typer.Option("--history", help="With their operations, as far back as kept.")] = False,
    config: ConfigOption = None,
    engine: EngineOption = None,
) -> None:
    """Print documents as JSON, one object a line, which `import` takes."""
    from fastcollab._output import print_json
    from fastcollab.document_file import encode_document, encode_history

    if (room is None) is not everything:
        raise typer.BadParameter("name a room, or --all")

    async def run(store: DocumentStore, config: Config) -> None:
        rooms = [room] if room is not None else [each.room_id async for each in _all(store)]
        for each in rooms:
            try:
                stored, content = await _at(store, each)
            except NoDocument:
                if everything:
                    continue  # it has been deleted meanwhile
                raise
            line = encode_document(each, stored, content)
            if history:
                _, first = await _at(store, each, stored.oldest)
                entries = await store.history(each, stored.epoch, stored.oldest, stored.newest)
                line["history"] = encode_history(stored.oldest, first, entries)
            print_json(line)

    _on_store(config, engine, run)


@document_app.command("import")
def import_documents(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `export` has printed.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace documents that there are already.")] = False,
    config: ConfigOption = None,
    engine: EngineOption = None,
) -> None:
    """Store the documents in a file. All are looked at first: if one is wrong, nothing is changed.

    A gateway that is running notices when somebody next writes to a document that was replaced, and has its members
    join again.
    """
    from fastcollab.document_file import decode_document, store_document

    async def run(store: DocumentStore, config: Config) -> None:
        limit = config.documents.max_document_bytes
        lines: dict[str, int] = {}
        for number, line in _lines(file):
            try:
                room = decode_document(line, limit).room_id
                if (earlier := lines.setdefault(room, number)) != number:
                    raise FastcollabError(f"the document of room {room!r} is in line {earlier} already")
                if not replace and await store.load(room) is not None:
                    raise FastcollabError(f"there is a document of room {room!r}; --replace replaces it")
            except FastcollabError as error:
                raise FastcollabError(f"{file}, line {number}: {error}") from None
        for _, line in _lines(file):
            await store_document(store, decode_document(line, limit))
        typer.echo(f"documents imported: {len(lines)}")

    _on_store(config, engine, run, makes=True)


@document_app.command()
def history(
    room: RoomArgument,
    after: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Begin after this version.", show_default="the oldest one")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many operations.")] = 100,
    json: JsonOption = False,
    config: ConfigOption = None,
    engine: EngineOption = None,
) -> None:
    """List the operations of a document: which version each made, when, and whose it is."""
    import orjson

    from fastcollab._output import Listing, time_text
    from fastcollab.server.past import past_operation

    async def run(store: DocumentStore, config: Config) -> None:
        stored, _ = await _at(store, room, after)
        listing = Listing(">version", "time (UTC)", "author", ">bytes", "operation", json=json)
        begin = stored.oldest if after is None else after
        for entry in await store.history(room, stored.epoch, begin, limit=limit):
            operation = orjson.dumps(entry.operation).decode()
            if len(operation) > _SHORTENED:
                operation = operation[: _SHORTENED - 1] + "…"
            time = time_text(entry.committed_at)
            listing.add(past_operation(entry), entry.version, time, entry.user_id, entry.size, operation)
        listing.end()

    _on_store(config, engine, run)


@document_app.command()
def delete(
    room: RoomArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
    engine: EngineOption = None,
) -> None:
    """Delete a document with its history."""

    async def run(store: DocumentStore, config: Config) -> None:
        if not await store.delete(room):
            raise NoDocument(room)

    if not yes:
        typer.confirm(f"Delete the document of room {room!r} with its history?", abort=True, err=True)
    _on_store(config, engine, run)


def _on_store(
    path: Path | None,
    engine: str | None,
    command: Callable[[DocumentStore, Config], Awaitable[None]],
    *,
    makes: bool = False,
) -> None:
    """Runs the command on the store; what keeps it from its end is told in one line. With `makes` there need not be a
    store yet.
    """
    from fastcollab.config import Setting
    from fastcollab.engines import open_documents
    from fastcollab.logs import printable
    from fastcollab.serving.plan import CannotServe, Kept, engine_to_look_at

    config = load_config(path, {} if engine is None else {"engine.url": Setting(engine, "flag --engine")})
    try:
        kept = engine_to_look_at(config, Kept.here())
    except CannotServe as error:
        fail(error.lines)
    place = kept.sqlite_path or kept.valkey_directory
    if place is None and kept.redis is None:
        fail(
            [
                f"engine.url is {kept.url}, which keeps documents in the gateway's own process, where no "
                "command can look at them; --engine names another"
            ]
        )
    if place is not None and not makes and not place.exists():
        fail([f"{place} does not exist"])
    # What the engine logs is what the command tells.
    logging.disable()

    async def run() -> None:
        async with open_documents(kept) as store:
            await command(store, config)

    try:
        asyncio.run(run())
    except FastcollabError as error:
        fail([printable(str(error))])


async def _all(store: DocumentStore) -> AsyncIterator[DocumentSummary]:
    last = ""
    while page := await store.list(last):
        for each in page:
            yield each
        last = page[-1].room_id


async def _at(store: DocumentStore, room: str, version: int | None = None) -> tuple[StoredDocument, Any]:
    """The document in that version, by default the newest, and its content."""
    from fastcollab.core.document import DocumentLimits
    from fastcollab.ports import Retention
    from fastcollab.server.documents import Documents

    try:
        return await Documents(store, DocumentLimits(), Retention()).at(room, version)
    except VersionMismatch as error:
        if await store.load(room) is None:
            raise NoDocument(room) from None
        oldest, newest = error.details["oldest"], error.details["version"]
        raise FastcollabError(f"of room {room!r} the versions {oldest} to {newest} are known, not {version}") from None


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not empty, with their numbers."""
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise FastcollabError(f"{file} cannot be read: {reason(error)}") from None
