from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.architecture.source import ROOT


def test_the_wheel_holds_the_built_browser_client_and_not_its_source(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"multitransport/py.typed", "multitransport/static/client.js", "multitransport/static/client.d.ts"} <= names
    assert "multitransport/brokers/redis/lua/publish.lua" in names
    strays = {name for name in names if not name.startswith(("multitransport/", "multitransport-"))}
    assert not strays
    assert not {name for name in names if name.startswith("multitransport/js/")}
