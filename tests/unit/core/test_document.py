"""Documents: what is committed, what is refused, what is kept, and for how long (rules OT1 to OT8)."""

from typing import Any

import orjson
import pytest
from tests.builders import at, submission, submit, text_document

from fastcollab.checksums import checksum
from fastcollab.core.document import Committed, Document, DocumentLimits
from fastcollab.errors import ChecksumFailed, ErrorCode, InvalidMessage, VersionMismatch


def commit(document: Document, operation: Any, version: int | None = None, **fields: Any) -> Committed:
    outcome = submit(document, submission(operation, document.version if version is None else version, **fields))
    assert isinstance(outcome, Committed)
    return outcome


def typed(count: int, limits: DocumentLimits | None = None) -> Document:
    """A document into which `count` characters were typed, one after the other."""
    document = text_document(limits=limits)
    for index in range(count):
        commit(document, [index, "x"] if index else ["x"])
    return document


class TestCommit:
    def test_ot2_an_operation_moves_the_version_up_by_one(self) -> None:
        document = text_document("hello")
        committed = commit(document, [5, " world"])
        assert (document.content, document.version, committed.version) == ("hello world", 1, 1)
        assert committed.operation == [5, " world"]

    def test_ot2_a_late_operation_is_transformed_over_all_that_came_since(self) -> None:
        document = text_document("abc")
        commit(document, ["1"])
        commit(document, [2, "2"])
        assert commit(document, [3, "!"], version=0).operation == [5, "!"]
        assert document.content == "1a2bc!"

    def test_ot2_at_one_place_the_newcomers_text_goes_first(self) -> None:
        document = text_document()
        commit(document, ["earlier "], version=0)
        commit(document, ["later "], version=0)
        assert document.content == "later earlier "

    def test_ot2_text_that_others_deleted_is_not_deleted_again(self) -> None:
        document = text_document("abcdef")
        commit(document, [1, {"d": 3}], version=0)
        commit(document, [2, {"d": 3}], version=0)
        assert document.content == "af"

    def test_an_operation_may_come_to_nothing_and_still_is_a_version(self) -> None:
        document = text_document("abc")
        commit(document, [{"d": 3}], version=0)
        assert commit(document, [{"d": 3}], version=0).operation == []
        assert (document.content, document.version) == ("", 2)

    def test_ot1_positions_are_code_points(self) -> None:
        document = text_document("👩🏽é")
        commit(document, [2, "!"])
        assert document.content == "👩🏽!é"

    def test_a_document_says_its_type_and_has_an_epoch_of_its_own(self) -> None:
        first, second = text_document(), text_document()
        assert first.type.name == "text"
        assert first.epoch and second.epoch and first.epoch != second.epoch

    def test_an_epoch_that_is_known_is_kept(self) -> None:
        document = text_document()
        assert Document(document.type, DocumentLimits(), "abc", epoch="e1", version=7).epoch == "e1"


class TestTwice:
    def test_ot5_the_same_message_again_gets_its_first_result(self) -> None:
        document = text_document()
        first = submission(["a"], 0)
        assert submit(document, first) != 1
        commit(document, ["b"])
        assert submit(document, first) == 1
        assert (document.content, document.version) == ("ba", 2)

    def test_ot5_whatever_else_is_in_it(self) -> None:
        document = text_document()
        submit(document, submission(["a"], 0, "m"))
        again = submission("nonsense", 99, "m", checksum="00000000", size=2**40)
        assert submit(document, again) == 1

    def test_ot5_the_same_id_of_another_user_is_another_message(self) -> None:
        document = text_document()
        submit(document, submission(["a"], 0, "m"))
        commit(document, ["b"], message_id="m", user_id="bob")
        assert document.content == "ba"

    def test_ot5_a_refused_message_may_come_again(self) -> None:
        document = text_document()
        refused = submission([5, "a"], 0, "m")
        with pytest.raises(InvalidMessage):
            submit(document, refused)
        commit(document, ["a"], message_id="m")
        assert document.content == "a"


class TestVersions:
    @pytest.mark.parametrize("version", [4, 2**53 - 1])
    def test_ot6_a_version_newer_than_the_document(self, version: int) -> None:
        document = typed(3)
        with pytest.raises(VersionMismatch) as caught:
            submit(document, submission(["a"], version))
        assert caught.value.code is ErrorCode.VERSION_MISMATCH
        assert caught.value.recoverable
        assert caught.value.details == {"version": 3, "oldest": 0}

    def test_ot6_a_version_older_than_the_history(self) -> None:
        document = typed(10, DocumentLimits(operations=4))
        with pytest.raises(VersionMismatch) as caught:
            submit(document, submission(["a"], 5))
        assert caught.value.details == {"version": 10, "oldest": 6}
        commit(document, ["a"], version=6)
        assert document.content == "a" + "x" * 10

    def test_ot6_a_version_too_old_for_so_large_an_operation(self) -> None:
        document = text_document("x" * 2_500)
        for _ in range(400):
            commit(document, ["x"])
        parts: list[Any] = [part for _ in range(2_500) for part in (1, "y")]
        with pytest.raises(VersionMismatch, match="too old for so large") as caught:
            submit(document, submission(parts, 0))
        assert caught.value.details == {"version": 400, "oldest": 0}
        assert document.version == 400
        # The same with what it has missed, and a small one as late, are no trouble.
        commit(document, parts, version=400)
        commit(document, ["z"], version=0)

    def test_since_gives_what_was_missed_in_order(self) -> None:
        document = typed(5, DocumentLimits(operations=3))
        assert [committed.version for committed in document.since(3)] == [4, 5]
        assert document.since(5) == []
        assert [committed.operation for committed in document.since(2)] == [[2, "x"], [3, "x"], [4, "x"]]
        for version in (1, 6):
            with pytest.raises(VersionMismatch):
                document.since(version)

    def test_content_at_takes_back_what_was_done_since(self) -> None:
        document = text_document("abc", DocumentLimits(cached_operations=3))
        contents = []
        for operation in ([{"d": 1}], [2, "é👩"], [1, {"d": 2}, "\x00"], ["z"]):
            contents.append(document.content)
            commit(document, operation)
        assert [document.content_at(version) for version in (1, 2, 3)] == contents[1:]
        assert document.content_at(4) == document.content
        with pytest.raises(VersionMismatch):
            document.content_at(0)

    def test_content_at_an_old_version_of_a_large_document_does_not_copy_it_for_each_operation(self) -> None:
        document = text_document("x" * 2_000_000, DocumentLimits(cached_operations=2_000))
        for index in range(2_000):
            commit(document, [index + 1, "y"])
        copied = 0
        apply = document.type.apply

        class Counting:
            compose = staticmethod(document.type.compose)

            @staticmethod
            def apply(content: str, operation: Any) -> Any:
                nonlocal copied
                copied += len(content)
                return apply(content, operation)

        document.type = Counting()  # type: ignore[assignment]
        assert document.content_at(0) == "x" * 2_000_000
        assert copied < 5 * len(document.content)


class TestRefusals:
    @pytest.mark.parametrize(
        ("operation", "path"),
        [
            ("abc", "payload.operation"),
            (None, "payload.operation"),
            ([2, 3.5], "payload.operation[1]"),
            ([1, {"d": 0}], "payload.operation[1]"),
            (["a", 1], "payload.operation[1]"),
            (["a", "b"], "payload.operation[1]"),
            ([9, "a"], "payload.operation[0]"),
            ([{"d": 4}], "payload.operation[0]"),
            ([2**70, "a"], "payload.operation[0]"),
        ],
    )
    def test_ot7_a_bad_operation_is_told_with_its_place_and_changes_nothing(self, operation: Any, path: str) -> None:
        document = text_document("abc")
        with pytest.raises(InvalidMessage) as caught:
            submit(document, submission(operation, 0, size=10))
        assert caught.value.code is ErrorCode.INVALID_OPERATION
        assert caught.value.recoverable
        assert caught.value.details == {"path": path}
        assert (document.content, document.version, document.oldest) == ("abc", 0, 0)

    @pytest.mark.parametrize(
        ("text", "good"), [("x" * 96, True), ("é" * 48, True), ("x" * 97, False), ("\x00" * 17, False)]
    )
    def test_ot7_operations_are_bounded_in_bytes_of_json(self, text: str, good: bool) -> None:
        document = text_document(limits=DocumentLimits(max_operation_bytes=100))
        if good:
            # The message around it may be longer.
            commit(document, [text], size=1_000)
            return
        size = len(orjson.dumps([text]))
        with pytest.raises(InvalidMessage) as caught:
            submit(document, submission([text], 0, size=1_000))
        assert caught.value.details == {"path": "payload.operation", "limit": 100, "size": size}
        assert document.version == 0

    @pytest.mark.parametrize("filling", ["x" * 10, "é" * 5, "👩👩xx", "\x00" * 10, '"' * 10, "漢漢漢x"])
    def test_ot7_texts_are_bounded_in_bytes_of_utf8(self, filling: str) -> None:
        document = text_document(limits=DocumentLimits(max_document_bytes=10))
        commit(document, [filling])
        with pytest.raises(InvalidMessage) as caught:
            submit(document, submission(["x"], 1))
        assert caught.value.details == {"path": "payload.operation", "limit": 10, "size": 11}
        assert (document.content, document.version) == (filling, 1)
        commit(document, [{"d": 1}])

    def test_ot7_late_operations_count_with_what_others_wrote(self) -> None:
        document = text_document(limits=DocumentLimits(max_document_bytes=10))
        commit(document, ["x" * 6], version=0)
        with pytest.raises(InvalidMessage):
            submit(document, submission(["y" * 6], 0))
        assert document.content == "x" * 6


class TestChecksum:
    def test_ot8_a_good_one_passes_also_at_an_older_version(self) -> None:
        document = text_document("abc")
        commit(document, [3, "d"], checksum="2e5a7dd1")
        commit(document, [{"d": 1}], version=0, checksum="2e5a7dd1")
        assert document.content == "bcd"

    def test_ot8_a_bad_one_is_refused_and_nothing_changes(self) -> None:
        document = text_document("abc")
        commit(document, [3, "d"])
        for version, claimed, expected in ((0, "00000000", "2e5a7dd1"), (1, "2e5a7dd1", checksum("abcd"))):
            with pytest.raises(ChecksumFailed) as caught:
                submit(document, submission([1, "x"], version, checksum=claimed))
            assert caught.value.code is ErrorCode.CHECKSUM_FAILED
            assert caught.value.recoverable
            assert caught.value.details == {"expected": expected, "version": 1}
        assert (document.content, document.version) == ("abcd", 1)

    def test_ot8_the_version_is_looked_at_first(self) -> None:
        document = typed(10, DocumentLimits(operations=2))
        with pytest.raises(VersionMismatch):
            submit(document, submission(["a"], 1, checksum="00000000"))


def test_what_is_committed_says_who_wrote_it_when_and_against_what() -> None:
    document = text_document("abc")
    commit(document, ["1"], version=0)
    outcome = submit(document, submission([3, "!"], 0, "m", user_id="bob", numeric_id=2, size=77), at(5))
    assert outcome == Committed(2, [4, "!"], "bob", 2, "m", 0, at(5).unix, 77)


class Careless:
    """A type of somebody's own: a document is a list, an operation what is added to it, and nothing is checked."""

    name = "careless"

    def check(self, operation: Any) -> None: ...

    def apply(self, document: Any, operation: Any) -> Any:
        return document[:-1] if operation == "undo" else [*document, operation]

    def invert(self, operation: Any, document: Any) -> Any:
        return "undo"


def test_what_a_type_takes_though_it_is_no_json_leaves_the_document_as_it_was() -> None:
    careless: Any = Careless()
    document = Document(careless, DocumentLimits(), [])
    with pytest.raises(TypeError):
        commit(document, 2**64)
    assert (document.content, document.version) == ([], 0)
    commit(document, 1)
    assert (document.content, document.version) == ([1], 1)
