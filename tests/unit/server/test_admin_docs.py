"""The page about the admin API lists what there is."""

from __future__ import annotations

from pathlib import Path

from fastcollab.server.admin.api import ENDPOINTS

PAGE = Path(__file__).parents[3] / "docs" / "api.md"


def test_the_page_has_every_endpoint() -> None:
    rows = [f"| {each.method} | `{each.path}` | {each.summary} |" for each in ENDPOINTS]
    listed = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if "| `/" in line]
    assert listed == rows, "\n".join(rows)


def test_every_endpoint_is_described_and_named_once() -> None:
    assert all(each.summary for each in ENDPOINTS)
    assert len({each.name for each in ENDPOINTS}) == len(ENDPOINTS)
    assert len({(each.method, each.path) for each in ENDPOINTS}) == len(ENDPOINTS)
