"""Every rule of the protocol is named by a test that tries to break it."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
PROTOCOL = TESTS.parent / "docs" / "protocol.md"
RULE = re.compile(r"^- \*\*([A-Z]+\d+)\*\*", re.MULTILINE)
TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)
NAMED = re.compile(r"_([A-Z]+\d+)(?=_|$)")


def test_every_rule_is_named_by_a_test() -> None:
    rules = RULE.findall(PROTOCOL.read_text(encoding="utf-8"))
    assert len(rules) == len(set(rules)) > 50
    named = {
        rule
        for path in TESTS.rglob("test_*.py")
        for name in TEST.findall(path.read_text(encoding="utf-8"))
        for rule in NAMED.findall(name)
    }
    assert named - set(rules) == set(), "tests name rules that are not there"
    assert set(rules) - named == set(), "rules that no test names"
