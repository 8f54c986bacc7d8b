"""A hook of MkDocs that gives the site what lies outside of docs/, and has links lead there.

Pages link to files as they lie in the project, so that the links work wherever it is read: docs/sdk.md to
``../README.md``, ARCHITECTURE.md to ``docs/protocol.md``. On the site the pages of docs/ are at its root, and what else
is listed here is below ``project/``; links are turned from the one into the other. One that leads to something
which is not on the site fails the build.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

PAGES = (
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "sdk/packages/react/README.md",
)
FOLDERS = ("deploy",)
FILES = ("LICENSE", "tests/conformance/deliberate.py")

#: Where a link leads, without what is behind `#`; none that has a scheme, or leads to a place of its own page.
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)[^)#\s]+")


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    contained = [
        file.relative_to(ROOT).as_posix() for folder in FOLDERS for file in (ROOT / folder).rglob("*") if file.is_file()
    ]
    for path in (*PAGES, *contained, *FILES):
        files.append(File.generated(config, f"project/{path}", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    here = page.file.src_uri
    folder = posixpath.dirname(_in_project(here))

    def led(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[0]))
        return posixpath.relpath(_on_site(target), posixpath.dirname(here) or ".")

    return _LINK.sub(led, markdown)


def _in_project(uri: str) -> str:
    return uri.removeprefix("project/") if uri.startswith("project/") else f"docs/{uri}"


def _on_site(path: str) -> str:
    return path.removeprefix("docs/") if path.startswith("docs/") else f"project/{path}"
