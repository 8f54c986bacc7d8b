"""The Autobahn suite of WebSocket conformance cases, run against an echo, and what is made of its verdicts.

`kosoku` drives the suite's own case files: it opens one connection for each case, sends what the case has it send, and
judges what comes back (the *exchange*) and how the connection ends (the *close*). It runs as a process of its own
and is judged by its report, since it may end badly when the report is complete.

A verdict is one of Autobahn's: `OK`; `NON-STRICT`, for what the RFC allows and advises against; `INFORMATIONAL`, where
it leaves the choice. All others are failures, `UNIMPLEMENTED` too.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.deliberate import DELIBERATE

#: How many cases each group has; group 8 does not exist, and 11 has been withdrawn.
GROUPS = {
    "1": ("framing", 16),
    "2": ("pings and pongs", 11),
    "3": ("reserved bits", 7),
    "4": ("opcodes", 10),
    "5": ("fragmentation", 20),
    "6": ("UTF-8", 145),
    "7": ("close handshake", 37),
    "9": ("limits and performance", 54),
    "10": ("auto-fragmentation", 1),
    "12": ("compression", 90),
    "13": ("parameters of compression", 126),
}
#: Settings with which every message is compressed whose sender has agreed to it, by itself or with history.
COMPRESSION: dict[str, object] = {"compression.threshold": 0}
HISTORY: dict[str, object] = {
    **COMPRESSION,
    "compression.server_context_takeover": True,
    "compression.client_context_takeover": True,
}
LARGEST_MESSAGE = 2**24
ROOT = Path(__file__).parents[2]

_PASSED = frozenset({"OK", "NON-STRICT", "INFORMATIONAL"})
#: How long (s) kosoku may take for all of its cases.
_PATIENCE = 1800.0


@dataclass(frozen=True, slots=True)
class Verdict:
    case: str
    exchange: str
    close: str

    @property
    def group(self) -> str:
        return self.case.partition(".")[0]

    @property
    def passed(self) -> bool:
        return self.exchange in _PASSED and self.close in _PASSED

    @property
    def strict(self) -> bool:
        return "NON-STRICT" not in (self.exchange, self.close)

    def __str__(self) -> str:
        return f"{self.case}: {self.exchange}, closed {self.close}"


async def run(url: str, cases: Iterable[str], folder: Path, at_once: int = 8) -> list[Verdict]:
    """The verdicts on these cases (identifiers, or patterns with `*`), of which `at_once` run at a time. The full
    report goes to `folder`.

    Raises RuntimeError if there is no report.
    """
    index = folder / "index.json"
    index.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.conformance.drive", "-p", str(at_once), "-o", str(folder.absolute())]
    for case in cases:
        command += ["-i", case]
    process = await asyncio.create_subprocess_exec(
        *command, url, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if not index.exists():
        raise RuntimeError(f"kosoku left no report:\n{output.decode(errors='replace')}")
    (agent,) = json.loads(index.read_bytes()).values()
    return [Verdict(case, found["behavior"], found["behaviorClose"]) for case, found in agent.items()]


def faults(verdicts: Sequence[Verdict]) -> list[str]:
    """What is wrong: cases that fail and should not."""
    return [str(verdict) for verdict in verdicts if not verdict.passed and verdict.case not in DELIBERATE]


def missing(verdicts: Sequence[Verdict], groups: Iterable[str]) -> list[str]:
    """What is wrong with a run of these groups: cases that were not run."""
    counts = Counter(verdict.group for verdict in verdicts)
    return [
        f"group {group} has {counts[group]} cases in place of {GROUPS[group][1]}"
        for group in groups
        if counts[group] != GROUPS[group][1]
    ]


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts of each group in numbers, and by name those that are not `OK`."""
    lines = [f"{'group':30}{'cases':>8}{'OK':>8}{'non-strict':>12}{'informational':>15}{'failed':>8}"]
    for group, (name, _) in GROUPS.items():
        if not (found := [verdict for verdict in verdicts if verdict.group == group]):
            continue
        failed = sum(not verdict.passed for verdict in found)
        lax = sum(verdict.passed and not verdict.strict for verdict in found)
        open_ = sum(verdict.passed and "INFORMATIONAL" in (verdict.exchange, verdict.close) for verdict in found)
        ok = len(found) - failed - lax - open_
        lines.append(f"{f'{group:>2}  {name}':30}{len(found):>8}{ok:>8}{lax:>12}{open_:>15}{failed:>8}")
    lax_cases = [verdict.case for verdict in verdicts if verdict.passed and not verdict.strict]
    lines.append(f"Non-strict: {', '.join(lax_cases) or 'none'}.")
    for verdict in verdicts:
        if verdict.case in DELIBERATE:
            reason = DELIBERATE[verdict.case] if not verdict.passed else "It has passed this time."
            lines.append(f"On purpose: {verdict}. {reason}")
    return "\n".join(lines)
