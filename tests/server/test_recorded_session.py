"""A recorded session of two authors, replayed by two clients that were written from the specification alone.

`test_replay` does the same, and with longer records, with the package's own client; here nothing but the record is
shared with it, so that a misunderstanding of the protocol would have to be made twice.
"""

from __future__ import annotations

from tests import traces
from tests.server.clients import Clients, HasUrl
from tests.server.editor import Editor, checksum, converge


async def test_a_recorded_session_ends_as_recorded_OT2_OT3_OT4_OT8(gateway: HasUrl, clients: Clients) -> None:
    session = traces.load(traces.OWN_SESSION)
    authors = traces.Author(), traces.Author()
    names = ("first author", "second author")
    editors = [await Editor.join(await clients.enter(gateway, name), "trace") for name in names]
    if session.start:
        await editors[0].edit([session.start])
        await converge(*editors)
    for editor in editors:
        editor.remote.clear()
    behind = 0
    for version, edit in enumerate(traces.edits(session), editors[0].version):
        author, editor = authors[edit.agent], editors[edit.agent]
        # A client takes in no more than its author must have seen, and so writes against old versions.
        while author.received + len(editor.remote) < edit.seen:
            await editor.catch_up(editor.version + 1)
        for operation in editor.remote:
            author.receive(operation)
        editor.remote.clear()
        author.see(edit.seen)
        behind += editor.version < version
        await editor.edit(author.write(edit.operation))
        await editor.finish()
        assert editor.version == version + 1, "the gateway committed in the order of the record"
    assert behind > 100
    assert await converge(*editors) == session.end
    await editors[0].client.operate([], editors[0].version, checksum=checksum(session.end))
