"""fastcollab's document types and their published twins, asked the same questions.

A *case* is made by a generator (``tests/generators``): a document, two operations against it, one that follows the
first, and positions. `answers` asks everything that a case can tell of our type; `Peer` has `driver.mjs` ask the npm
package the same, under the same names. Node 20 or later has to be installed; the packages are installed from
``package-lock.json`` at the first use.

What is undefined in JavaScript is `ot.ABSENT` here, and left out of a case and of an answer on the wire.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from fastcollab import ot

FOLDER = Path(__file__).parent
OLDEST_NODE = 20

SIDES: tuple[ot.Side, ...] = ("left", "right")


class Refused:
    """The answer of a function that raised; what the two sides say of the reason is not compared."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"<refused: {self.reason}>"


Answers = dict[str, Any]


def answers(document_type: ot.DocumentType, case: dict[str, Any]) -> Answers:
    """Everything that the case asks of our type, under the names that ``driver.mjs`` gives it."""
    results: Answers = {}
    document, a, b, c = case.get("document", ot.ABSENT), case["a"], case["b"], case["c"]

    def call(name: str, method: str, *arguments: Any) -> Any:
        if any(isinstance(argument, Refused) for argument in arguments):
            return Refused("an argument was refused")
        try:
            results[name] = getattr(document_type, method)(*arguments)
        except ot.OperationError as error:
            results[name] = Refused(str(error))
        return results[name]

    after_a = call("apply a", "apply", document, a)
    after_b = call("apply b", "apply", document, b)
    a_left = call("a over b, left", "transform", a, b, "left")
    a_right = call("a over b, right", "transform", a, b, "right")
    b_left = call("b over a, left", "transform", b, a, "left")
    b_right = call("b over a, right", "transform", b, a, "right")
    call("a then b", "apply", after_a, b_right)
    call("b then a", "apply", after_b, a_left)
    call("a then b, other sides", "apply", after_a, b_left)
    call("b then a, other sides", "apply", after_b, a_right)
    both = call("compose a, c", "compose", a, c)
    call("apply a, apply c", "apply", after_a, c)
    call("apply both", "apply", document, both)
    call("b over both", "transform", b, both, "left")
    call("both over b", "transform", both, b, "right")
    inverse = call("invert a", "invert", a, document)
    call("apply inverse", "apply", after_a, inverse)
    for index, position in enumerate(case["positions"]):
        for side in SIDES:
            call(f"position {index} over a, {side}", "transform_position", position, a, side)
    call("normalize a", "normalize", a)
    return results


def same(ours: Any, theirs: Any) -> bool:
    """Whether two JSON values are one to JavaScript: 1 is 1.0 but not true, and the order of keys is nothing."""
    if isinstance(ours, Refused) or isinstance(theirs, Refused):
        return isinstance(ours, Refused) and isinstance(theirs, Refused)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(value, theirs[key]) for key, value in ours.items())
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return ours == theirs
    return type(ours) is type(theirs) and bool(ours == theirs)


def differences(ours: Answers, theirs: Answers) -> list[str]:
    """The names under which the answers differ, in the order in which they were asked."""
    missing = object()
    names = {**ours, **theirs}
    return [name for name in names if not same(ours.get(name, missing), theirs.get(name, missing))]


class Peer:
    """The npm packages, in a process of Node."""

    def __init__(self, questions: IO[str], replies: IO[str]) -> None:
        self._questions = questions
        self._replies = replies

    def answers(self, type_name: str, cases: list[dict[str, Any]]) -> list[Answers]:
        """What the package behind `type_name` answers to each of the cases."""
        json.dump({"type": type_name, "cases": cases}, self._questions)
        self._questions.write("\n")
        self._questions.flush()
        line = self._replies.readline()
        if not line:
            raise RuntimeError("the process of the published packages ended; its error is above")
        return [{name: self._value(result) for name, result in each.items()} for each in json.loads(line)]

    @staticmethod
    def _value(result: dict[str, Any]) -> Any:
        if "error" in result:
            return Refused(result["error"])
        return result.get("value", ot.ABSENT)


@contextmanager
def peer() -> Iterator[Peer]:
    """A running `Peer`; it is over when the block is left."""
    command = [str(install()), str(FOLDER / "driver.mjs")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8") as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield Peer(process.stdin, process.stdout)
        finally:
            process.stdin.close()
            process.wait(timeout=10)


def install() -> Path:
    """Installs the packages that the lock file names, unless that is done, and gives the program `node`.

    RuntimeError if Node is missing or too old, or if npm fails.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise RuntimeError(f"the tests against the published document types need Node {OLDEST_NODE} or later, with npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < OLDEST_NODE:
        raise RuntimeError(f"Node {OLDEST_NODE} or later is needed, and {node} is {version}")
    lock, installed = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        done = subprocess.run([npm, "ci", "--ignore-scripts"], cwd=FOLDER, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"npm ci failed in {FOLDER}:\n{done.stderr}")
    return Path(node)
