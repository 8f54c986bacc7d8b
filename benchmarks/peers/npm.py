"""Peers that run on Node, from npm by their lock files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from fastcollab.bench.connect import LoadError


def installed(peer: Path) -> Path:
    """Installs what the peer's lock file names, unless that is done, and gives the program `node`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise LoadError(f"the peer {peer.name} needs Node 20 or later, with npm")
    lock, done = peer / "package-lock.json", peer / "node_modules" / ".package-lock.json"
    if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run([npm, "ci", "--ignore-scripts"], cwd=peer, check=True)
    return Path(node)
