"""Builds the Cython extensions; everything else about the package is in pyproject.toml.

Environment variables, for developers:

``FASTCOLLAB_SANITIZE=address,undefined``
    builds with these compiler sanitizers, at -O1 with frame pointers.
``FASTCOLLAB_NATIVE=1``
    builds for this machine's processor only.
``FASTCOLLAB_SWITCHED=1``
    builds so that what is counted of cursors for metrics can be switched off, to see what it costs
    (``benchmarks/metrics.py``).
"""

import os
import sys
import warnings
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCE = Path("src")

compile_args = ["-O3", "-Wall", "-Wno-unreachable-code", "-Wno-unused-function"]
link_args: list[str] = []
if sanitizers := os.environ.get("FASTCOLLAB_SANITIZE"):
    compile_args = ["-O1", "-g", "-fno-omit-frame-pointer", f"-fsanitize={sanitizers}"]
    link_args = [f"-fsanitize={sanitizers}"]
elif os.environ.get("FASTCOLLAB_NATIVE"):
    compile_args.append("-march=native")
if os.environ.get("FASTCOLLAB_SWITCHED"):
    compile_args.append("-DFASTCOLLAB_SWITCHED")


def extension(path: Path) -> Extension:
    name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    return Extension(name, [str(path)], extra_compile_args=compile_args, extra_link_args=link_args)


if {"sdist", "bdist_wheel"}.intersection(sys.argv) and not (SOURCE / "fastcollab/demo/web/index.html").exists():
    warnings.warn("The dashboard is not built (`make demo`): the package is without `fastcollab demo`.", stacklevel=1)

setup(
    options={"build_ext": {"parallel": os.cpu_count()}},
    ext_modules=cythonize(
        [extension(path) for path in sorted(SOURCE.rglob("*.pyx"))],
        include_path=[str(SOURCE)],
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
            "embedsignature": False,
            "freethreading_compatible": False,
        },
        annotate=bool(os.environ.get("FASTCOLLAB_ANNOTATE")),
    ),
)
