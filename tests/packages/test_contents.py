"""What goes into the packages, from file names alone; nothing is compiled."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"

#: What the build leaves in the folder of the sources.
GENERATED = {".c", ".so", ".pyc"}
#: What the compiler needs, and nobody else.
COMPILED = {".pyx", ".h"}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def sources() -> set[Path]:
    """All files of the package, of whatever kind, so that one of a new kind cannot be forgotten."""
    return {
        file.relative_to(SOURCE)
        for file in (SOURCE / "fastcollab").rglob("*")
        if file.is_file() and file.suffix not in GENERATED
    }


def build(*arguments: str | Path) -> None:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_sdist_has_every_source_and_nothing_that_is_made_of_them(tmp_path: Path) -> None:
    build("-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path)
    (sdist,) = tmp_path.iterdir()
    with tarfile.open(sdist) as archive:
        files = {Path(*Path(member.name).parts[1:]) for member in archive if member.isfile()}
    metadata = {file for file in files if "fastcollab.egg-info" in file.parts}
    around = {"LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg", "setup.py"}
    assert files - metadata == {Path("src", file) for file in sources()} | set(map(Path, around))


def test_a_wheel_has_what_runs(tmp_path: Path) -> None:
    build("setup.py", "--quiet", "build_py", "--build-lib", tmp_path)
    files = {file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file()}
    assert files == {file for file in sources() if file.suffix not in COMPILED}


def test_wheels_are_built_for_every_python_that_is_promised() -> None:
    metadata = project()["project"]
    promised = re.findall(r"Python :: 3\.(\d+)$", "\n".join(metadata["classifiers"]), re.MULTILINE)
    assert metadata["requires-python"] == f">=3.{promised[0]}"
    assert project()["tool"]["cibuildwheel"]["build"] == [f"cp3{minor}-*" for minor in promised]


@pytest.mark.skipif("FASTCOLLAB_DIST" not in os.environ, reason="make packages has what this needs")
@pytest.mark.parametrize(("platform", "architectures"), [("linux", 2), ("macos", 2)])
def test_cibuildwheel_understands_its_settings(platform: str, architectures: int) -> None:
    command = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers", "--platform", platform]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    targets = listed.stdout.split()
    versions = {target.partition("-")[0] for target in targets}
    assert versions == {each.removesuffix("-*") for each in project()["tool"]["cibuildwheel"]["build"]}
    assert len({target.partition("-")[2].split("_", 1)[1] for target in targets}) == architectures
