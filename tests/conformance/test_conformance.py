"""The cases of all groups that take seconds, against the gateway's listener; `make conformance` runs the others too."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.conformance import suite
from tests.conformance.suite import Verdict

from fastcollab.server._listener import Connection
from fastcollab.testing.echo import EchoGateway

pytestmark = pytest.mark.skipif(find_spec("kosoku") is None, reason="kosoku has no wheel for this platform")

SELECTION = [f"{group}.*" for group in ("1", "2", "3", "4", "5", "6", "7", "9", "10")]
#: Of text that gets shorter and of data that do not, and of sets of parameters.
COMPRESSED = ["12.1.1", "12.5.1", "13.2.1", "13.4.1", "13.6.1", "13.7.1"]


async def verdicts_on(echo: EchoGateway, cases: Sequence[str], folder: Path) -> list[Verdict]:
    async with echo:
        return await suite.run(echo.url, cases, folder)


async def test_the_listener_conforms(tmp_path: Path) -> None:
    verdicts = await verdicts_on(EchoGateway(max_message_bytes=suite.LARGEST_MESSAGE), SELECTION, tmp_path)
    assert not suite.faults(verdicts), suite.table(verdicts)
    assert len(verdicts) == 301


@pytest.mark.parametrize("settings", [suite.COMPRESSION, suite.HISTORY], ids=["alone", "history"])
async def test_the_listener_conforms_with_compression(settings: dict[str, object], tmp_path: Path) -> None:
    echo = EchoGateway(max_message_bytes=2**17, **settings)
    verdicts = await verdicts_on(echo, COMPRESSED, tmp_path)
    assert not suite.faults(verdicts), suite.table(verdicts)
    assert len(verdicts) == len(COMPRESSED)


async def test_without_compression_its_cases_do_not_pass(tmp_path: Path) -> None:
    echo = EchoGateway(max_message_bytes=2**17, **{"compression.enabled": False})
    verdicts = await verdicts_on(echo, ["12.1.1"], tmp_path)
    assert [verdict.exchange for verdict in verdicts] == ["UNIMPLEMENTED"]
    assert len(suite.faults(verdicts)) == 1


async def test_an_echo_that_alters_messages_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def louder(self: object, connection: Connection, message: str) -> None:
        text(self, connection, message.upper() + "!")

    dispatcher = EchoGateway._dispatcher_type
    text = dispatcher.text
    monkeypatch.setattr(dispatcher, "text", louder)
    verdicts = await verdicts_on(EchoGateway(max_message_bytes=2**16), ["1.1.2", "1.2.2"], tmp_path)
    assert [verdict.case for verdict in verdicts if not verdict.passed] == ["1.1.2"]
    assert len(suite.faults(verdicts)) == 1


async def test_without_a_report_there_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="kosoku left no report"):
        await verdicts_on(EchoGateway(max_message_bytes=2**16), ["99.*"], tmp_path)


@pytest.mark.parametrize("bad", ["FAILED", "WRONG CODE", "UNCLEAN", "UNIMPLEMENTED", "ERROR", "what is not known"])
def test_whatever_is_no_pass_is_a_failure(bad: str) -> None:
    one, other = Verdict("1.1.1", bad, "OK"), Verdict("1.1.2", "OK", bad)
    assert suite.faults([one, other, Verdict("1.1.3", "NON-STRICT", "INFORMATIONAL")]) == [str(one), str(other)]


def test_only_what_is_listed_may_fail() -> None:
    listed, other = Verdict("7.1.2", "FAILED", "WRONG CODE"), Verdict("7.1.1", "FAILED", "OK")
    assert suite.faults([listed, other]) == [str(other)]
    assert "two close frames" in suite.table([listed]).lower()
    assert "It has passed this time." in suite.table([Verdict("7.1.2", "OK", "OK")])


def test_a_case_that_was_not_run_is_missed() -> None:
    complete = [
        Verdict(f"{group}.{number}", "OK", "OK")
        for group, (_, count) in suite.GROUPS.items()
        for number in range(count)
    ]
    assert suite.missing(complete, suite.GROUPS) == []
    assert suite.missing(complete[1:], suite.GROUPS) == ["group 1 has 15 cases in place of 16"]
