"""The documentation is a site without a broken link, and says of settings what the code says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs.site import configuration, outside

ROOT = Path(__file__).parents[1]


def build(project: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", site],
        cwd=project,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    home = (tmp_path / "index.html").read_text(encoding="utf-8")
    for place in ("project/", "protocol/", "project/ARCHITECTURE/", "sdk/#five-minutes"):
        assert f'href="{place}"' in home
    for page in ("project/deploy/compose.yaml", "project/ARCHITECTURE/index.html"):
        assert (tmp_path / page).exists()
    # Nothing that a page needs is loaded from elsewhere.
    assert not re.search(r'<(?:script|link rel="stylesheet")[^>]+(?:src|href)="https?:', home)


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for folder in ("docs", *outside.FOLDERS):
        shutil.copytree(ROOT / folder, project / folder)
    for file in ("mkdocs.yml", *outside.PAGES, *outside.FILES):
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, project / file)
    broken = {
        "docs/deployment.md": ("nowhere.md", "storage.md#nowhere", "../NOWHERE.md"),
        "ARCHITECTURE.md": ("docs/missing.md",),
    }
    for page, links in broken.items():
        with (project / page).open("a", encoding="utf-8") as text:
            text.writelines(f"\n[a link]({link})\n" for link in links)
    done = build(project, tmp_path / "site")
    assert done.returncode != 0
    for link in ("'nowhere.md'", "'storage.md#nowhere'", "'project/NOWHERE.md'", "'../missing.md'"):
        assert f"contains a link {link}" in done.stderr
    assert done.stderr.count("WARNING") == 4


def test_the_tables_of_settings_are_current() -> None:
    page = configuration.PAGE.read_text(encoding="utf-8")
    assert configuration.current(page) == page, "`make docs` writes them anew"


def test_a_table_that_is_not_current_is_written_anew() -> None:
    page = configuration.PAGE.read_text(encoding="utf-8")
    assert configuration.current(page.replace("`8080`", "`80`")) == page
    assert configuration.current(re.sub(r"^\| `server\.port`.*\n", "", page, flags=re.MULTILINE)) == page


def test_a_section_that_is_not_on_the_page_is_told() -> None:
    page = configuration.PAGE.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="sections"):
        configuration.current(page.replace("### `log`", "### `logs`"))
    with pytest.raises(ValueError, match="sections"):
        configuration.current(re.sub(r"^\|.*\n", "", page, flags=re.MULTILINE))
