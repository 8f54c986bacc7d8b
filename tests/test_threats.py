"""Every threat of the threat model is met by something that is proved, and every attack is made for a threat."""

from __future__ import annotations

import re
from pathlib import Path

import tests.attacks.bodies
import tests.attacks.doors
import tests.attacks.floods  # noqa: F401 - they register attacks
from tests.attacks.target import ATTACKS

TESTS = Path(__file__).parent
DOCUMENT = TESTS.parent / "docs" / "security.md"
THREAT = re.compile(r"^\| (?!---|threat )(.+) \| (.+) \| (.*(?:attack|test)s? `.*) \|$", re.MULTILINE)
NAME = re.compile(r"`(\w+)`")
TEST = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)


def test_what_proves_that_a_threat_is_met_exists() -> None:
    threats = THREAT.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert len(threats) > 30
    named = {name for _, _, proofs in threats for name in NAME.findall(proofs)}
    tests = {name for path in TESTS.rglob("test_*.py") for name in TEST.findall(path.read_text(encoding="utf-8"))}
    assert named - tests == set(ATTACKS), "attacks that are not named, or names of nothing"
