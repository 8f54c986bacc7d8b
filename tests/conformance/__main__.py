"""Runs all conformance cases against the echo gateway. ``python -m tests.conformance [FOLDER]``

Prints a table of verdicts, leaves kosoku's report in FOLDER, and exits with 1 if a case fails that is not listed in
`deliberate.py`.
"""

import sys
from pathlib import Path

import uvloop
from tests.conformance import suite

from fastcollab.testing.echo import EchoGateway


async def conform(folder: Path) -> list[suite.Verdict]:
    async with EchoGateway(max_message_bytes=suite.LARGEST_MESSAGE) as echo:
        return await suite.run(echo.url, [f"{group}.*" for group in suite.GROUPS], folder)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/conformance")
    verdicts = uvloop.run(conform(folder))
    print(suite.table(verdicts))
    print(f"The report is {folder / 'index.html'}.")
    if wrong := suite.missing(verdicts) + suite.faults(verdicts):
        sys.exit("\n".join(["These are no deliberate failures:", *wrong]))


if __name__ == "__main__":
    main()
