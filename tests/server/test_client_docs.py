"""The example of docs/client.md does what it says."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastcollab import Gateway
from fastcollab.client import CollaborativeClient

PAGE = Path(__file__).parents[2] / "docs" / "client.md"


async def test_the_example_runs(
    gateway: Gateway, make_token: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    example = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    namespace: dict[str, Any] = {
        "CollaborativeClient": CollaborativeClient,
        "url": gateway.url,
        "fetch_token": lambda: make_token("ada"),
    }
    exec(f"async def run():\n{textwrap.indent(example[1], '    ')}\n    return room", namespace)
    room = await namespace["run"]()
    assert room.text == "Agenda\n1. Budget\n"
    said = capsys.readouterr().out.splitlines()
    assert said == [
        *("document: saving", "document: saved", "document: saving", "document: saved"),
        *("document: closed", "connection: closed"),
    ]
