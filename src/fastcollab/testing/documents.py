"""The contract of :class:`fastcollab.ports.DocumentStore`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fastcollab import messages
from fastcollab.core.document import Committed, Document, Submission
from fastcollab.errors import VersionMismatch
from fastcollab.ports import DocumentStore


def commit(document: Document, operation: Any, message_id: str | None = None) -> Committed | int:
    """Submits the operation against the newest version."""
    submission = Submission(
        user_id="ada",
        numeric_id=1,
        message_id=message_id or messages.new_id(),
        operation=operation,
        version=document.version,
        size=100,
    )
    return document.submit(submission, now=0)


@pytest.mark.asyncio
class DocumentStoreContract:
    """Give it a fixture `documents`: a store without documents, whose history holds at least 10 operations."""

    async def test_ot1_a_document_is_made_with_the_type_that_is_named(self, documents: DocumentStore) -> None:
        document = await documents.open("plans", "text")
        assert (document.type.name, document.content, document.version, document.oldest) == ("text", "", 0, 0)
        assert document.epoch

    async def test_all_who_open_it_get_the_same_object(self, documents: DocumentStore) -> None:
        opened = await asyncio.gather(*(documents.open("plans", "text") for _ in range(5)))
        assert len(set(map(id, opened))) == 1
        assert await documents.open("plans", "text") is opened[0]

    async def test_rooms_do_not_share_documents(self, documents: DocumentStore) -> None:
        plans, wiki = await documents.open("plans", "text"), await documents.open("wiki", "text")
        commit(plans, ["a"])
        assert (wiki.content, wiki.version) == ("", 0)
        assert plans.epoch != wiki.epoch

    async def test_what_was_committed_is_found_again(self, documents: DocumentStore) -> None:
        document = await documents.open("plans", "text")
        epoch = document.epoch
        commit(document, ["hello"])
        commit(document, [5, " world"])
        await documents.close("plans")
        found = await documents.open("plans", "text")
        assert (found.content, found.version, found.epoch) == ("hello world", 2, epoch)

    async def test_ot9_so_is_its_history(self, documents: DocumentStore) -> None:
        document = await documents.open("plans", "text")
        commit(document, ["hello"])
        commit(document, [5, " world"])
        await documents.close("plans")
        found = await documents.open("plans", "text")
        assert [committed.operation for committed in found.since(0)] == [["hello"], [5, " world"]]
        assert [committed.submission.user_id for committed in found.since(1)] == ["ada"]
        assert found.content_at(1) == "hello"

    async def test_ot5_so_are_the_results_of_messages(self, documents: DocumentStore) -> None:
        document = await documents.open("plans", "text")
        message_id = messages.new_id()
        commit(document, ["a"], message_id)
        commit(document, ["b"])
        await documents.close("plans")
        found = await documents.open("plans", "text")
        assert commit(found, ["a"], message_id) == 1
        assert found.content == "ba"

    async def test_a_document_that_was_never_written_starts_from_nothing(self, documents: DocumentStore) -> None:
        document = await documents.open("plans", "text")
        before = document.epoch, document.version
        await documents.close("plans")
        found = await documents.open("plans", "text")
        # Never written, it may be kept or made anew; but one epoch is one life of one document.
        assert found.epoch != before[0] or found.version == before[1]
        with pytest.raises(VersionMismatch):
            found.since(1)

    async def test_closing_twice_or_what_was_not_open_is_no_error(self, documents: DocumentStore) -> None:
        await documents.close("plans")
        commit(await documents.open("plans", "text"), ["a"])
        await documents.close("plans")
        await documents.close("plans")
        assert (await documents.open("plans", "text")).content == "a"
