"""Builds the extensions with sanitizers and runs the fuzz targets on them. ``python -m fuzz [SECONDS [TARGET ...]]``

The build goes to ``build/fuzz`` and leaves the ordinary one alone; GCC's AddressSanitizer and
UndefinedBehaviorSanitizer are loaded before the interpreter, and Python's own allocator is switched off so that they
see every allocation. What they find is in ``build/fuzz``, beside the input that did it. Exits with 1 if there is a
finding.

GCC's sanitizers hide coverage from the fuzzer: their libraries have functions of the same names, which do nothing. So
each target runs on the ordinary extensions first, for a third of the time, where coverage leads it to inputs of every
kind; these, and what comes of changing them, are then what it runs with on the extensions with sanitizers.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "fuzz"
DEFAULT_SECONDS = 60
#: Documents, and what comes over the wire.
TARGETS = ("ot_json1", "ot_rich_text", "ot_text", "bundle", "frames", "handshake", "inflation", "messages")


def build() -> None:
    command = [sys.executable, "setup.py", "-q", "build", "--build-base", str(BUILD), "--build-lib", str(BUILD / "lib")]
    environment = os.environ | {"FASTCOLLAB_SANITIZE": "address,undefined"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)


def library(name: str) -> str:
    command = ["gcc", f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def fuzz(target: str, seconds: int, environment: dict[str, str], options: list[str]) -> int:
    """Runs the target on its corpus, which it adds to, and gives its exit code."""
    corpus = BUILD / target
    corpus.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", f"fuzz.{target}", str(corpus)]
    command += [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={BUILD / target}-",
        "-max_len=1024",
        "-len_control=0",
        "-timeout=20",
    ]
    return subprocess.run([*command, *options], cwd=BUILD, env=os.environ | environment, check=False).returncode


def run(target: str, seconds: int) -> bool:
    """Whether the target ran for its time without a finding."""
    for old in BUILD.glob(f"{target}.report*"):
        old.unlink()
    report = BUILD / f"{target}.report"
    sanitized = {
        "PYTHONPATH": f"{BUILD / 'lib'}:{ROOT}",
        "PYTHONMALLOC": "malloc",
        "LD_PRELOAD": f"{library('libasan.so')} {library('libubsan.so')}",
        # The interpreter itself leaves much to the end of the process.
        "ASAN_OPTIONS": f"detect_leaks=0:log_path={report}",
        "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={report}",
    }
    codes = [
        fuzz(target, max(seconds // 3, 1), {"PYTHONPATH": str(ROOT)}, []),
        fuzz(target, seconds, sanitized, ["-keep_seed=1"]),
    ]
    reports = list(BUILD.glob(f"{target}.report*"))
    for each in reports:
        print(each.read_text(encoding="utf-8"), file=sys.stderr)
    return not any(codes) and not reports


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_SECONDS
    targets = sys.argv[2:] or TARGETS
    if unknown := set(targets).difference(TARGETS):
        sys.exit(f"there is no target {', '.join(sorted(unknown))}: there are {', '.join(TARGETS)}")
    build()
    failed = [target for target in targets if not run(target, seconds)]
    if failed:
        sys.exit(f"findings in {', '.join(failed)}: see {BUILD}")


if __name__ == "__main__":
    main()
