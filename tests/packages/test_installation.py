"""The packages that `make packages` has built, installed where there is nothing else.

Each environment is a new one, and the path has nothing but it: no compiler for the wheel, and for the sdist nothing but
a compiler. What a package depends upon comes as wheels.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen

import pytest

DIST = os.environ.get("FASTCOLLAB_DIST")
#: `gcc` calls the others.
COMPILER = ("cc", "gcc", "clang", "as", "ld")

pytestmark = pytest.mark.skipif(DIST is None, reason="make packages builds what this installs")


def built(pattern: str) -> Path:
    assert DIST is not None
    (file,) = Path(DIST).resolve().glob(pattern)
    return file


def really(program: str) -> Path | None:
    """The program itself; not ccache under its name, which would look for it on the path."""
    places = [Path(folder, program) for folder in os.get_exec_path()]
    return next((place for place in places if shutil.which(place) and place.resolve().name != "ccache"), None)


class Environment:
    """An empty environment in `folder`, with these programs on its path."""

    def __init__(self, folder: Path, *programs: str) -> None:
        self._folder = folder
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, timeout=120)
        self._bin = folder / "venv" / "bin"
        tools = folder / "tools"
        tools.mkdir()
        for program in programs:
            if found := really(program):
                (tools / program).symlink_to(found)
        self._variables = {"PATH": f"{self._bin}:{tools}", "HOME": str(folder)}

    def start(self, program: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self._bin / program, *arguments],
            cwd=self._folder,
            env=self._variables,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, program: str, *arguments: str | Path, seconds: float = 60) -> str:
        """What the program prints; fails if it does."""
        done = subprocess.run(
            [self._bin / program, *arguments],
            cwd=self._folder,
            env=self._variables,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        assert done.returncode == 0, done.stdout + done.stderr[-5000:]
        return done.stdout

    def install(self, package: Path, *options: str) -> None:
        self.run("pip", "install", "--quiet", "--disable-pip-version-check", *options, package, seconds=900)


def test_the_wheel_runs_the_demo_where_there_is_no_compiler(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    environment.install(built("*.whl"), "--only-binary", ":all:")
    with environment.start("fastcollab", "demo", "--port", "0", "--no-open") as demo:
        try:
            assert demo.stdout is not None
            address = demo.stdout.readline().split()[-1]
            with urlopen(address, timeout=10) as page:
                (script,) = re.findall(r'<script[^>]* src="([^"]+)"', page.read().decode())
            with urlopen(urljoin(address, script), timeout=10) as code:
                assert code.status == 200
        finally:
            demo.terminate()
        assert demo.wait(timeout=30) == 0


def test_the_sdist_builds_with_nothing_but_a_compiler(tmp_path: Path) -> None:
    environment = Environment(tmp_path, *COMPILER)
    environment.install(built("*.tar.gz"), "--only-binary", ":all:", "--no-binary", "fastcollab")
    assert environment.run("fastcollab", "version").startswith("fastcollab ")
    imports = "import fastcollab.ot, fastcollab.server.gateway, fastcollab.bench.load"
    environment.run("python", "-c", imports)
