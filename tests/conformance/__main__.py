"""Runs all conformance cases against the echo gateway. ``python -m tests.conformance [FOLDER]``

Prints tables of verdicts, leaves kosoku's reports in FOLDER, and exits with 1 if a case fails that is not listed in
`deliberate.py`. The cases of compression run twice, since what a client may agree to is a setting of the gateway.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import uvloop
from tests.conformance import suite

from fastcollab.testing.echo import EchoGateway

RUNS: dict[str, tuple[Iterable[str], Mapping[str, object]]] = {
    "alone": (suite.GROUPS, suite.COMPRESSION),
    "history": (("12", "13"), suite.HISTORY),
}


async def conform(groups: Iterable[str], settings: Mapping[str, object], folder: Path) -> list[suite.Verdict]:
    async with EchoGateway(max_message_bytes=suite.LARGEST_MESSAGE, **settings) as echo:
        return await suite.run(echo.url, [f"{group}.*" for group in groups], folder)


def main() -> None:
    wrong = []
    for name, (groups, settings) in RUNS.items():
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/conformance") / name
        verdicts = uvloop.run(conform(groups, settings, folder))
        print(", ".join(f"{key} = {value}" for key, value in settings.items()))
        print(suite.table(verdicts))
        print(f"The report is {folder / 'index.html'}.\n", flush=True)
        wrong += suite.missing(verdicts, groups) + suite.faults(verdicts)
    if wrong:
        sys.exit("\n".join(["These are no deliberate failures:", *wrong]))


if __name__ == "__main__":
    main()
