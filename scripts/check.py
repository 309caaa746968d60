"""Run the checks that need no server, two at a time: python scripts/check.py [NAME …].

Prints what a check printed only when it failed. Exits 1 when any failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
FOLDERS = ("multitransport", "tests", "examples", "benchmarks", "scripts")
PYTHON_CODE = [name for name in FOLDERS if (ROOT / name).is_dir()]
SANS_IO = ("core", "protocol")


@dataclass(frozen=True)
class Check:
    name: str
    commands: list[list[str]]
    directory: Path = ROOT
    environment: dict[str, str] = field(default_factory=dict)


def checks(scratch: Path) -> list[Check]:
    """Return every check, the slowest first."""
    python = sys.executable
    own_tests = [f"tests/unit/{package}" for package in SANS_IO]
    return [
        Check("mypy", [[python, "-m", "mypy", *PYTHON_CODE]]),
        Check(
            "pyright",
            [[str(BIN / "pyright"), "--pythonpath", python]],
            environment={"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        ),
        Check(
            "coverage",
            [
                [python, "-m", "coverage", "run", "-m", "pytest", "-q", "-p", "no:cacheprovider", *own_tests],
                [python, "-m", "coverage", "report", "--fail-under=100"],
            ],
            environment={"COVERAGE_FILE": str(scratch / "coverage")},
        ),
        Check(
            "browser client",
            [["npm", "run", "--silent", "check"], ["npm", "test", "--silent"]],
            ROOT / "multitransport/js",
        ),
        Check("layers", [[str(BIN / "lint-imports"), "--no-logo"]]),
        Check("ruff", [[python, "-m", "ruff", "check", "."], [python, "-m", "ruff", "format", "--check", "."]]),
    ]


def run(check: Check) -> tuple[bool, float, str]:
    """Run a check to its first failing command; return whether it passed, its seconds and its output."""
    started = time.monotonic()
    output = ""
    for command in check.commands:
        try:
            done = subprocess.run(
                command,
                cwd=check.directory,
                env={**os.environ, **check.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        except OSError as error:
            return False, time.monotonic() - started, f"{output}{command[0]}: {error}"
        output += done.stdout
        if done.returncode != 0:
            return False, time.monotonic() - started, output
    return True, time.monotonic() - started, output


def main(names: list[str]) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        every = checks(Path(scratch))
        if unknown := set(names) - {check.name for check in every}:
            print(f"no such check: {', '.join(sorted(unknown))}; there are: {', '.join(check.name for check in every)}")
            return 2
        failed = []
        with ThreadPoolExecutor(max_workers=2) as pool:
            pending = {pool.submit(run, check): check for check in every if not names or check.name in names}
            for future in as_completed(pending):
                passed, seconds, output = future.result()
                name = pending[future].name
                print(f"{'ok    ' if passed else 'FAILED'} {name} ({seconds:.1f} s)", flush=True)
                if not passed:
                    failed.append(name)
                    print(output, flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
