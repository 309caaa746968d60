from __future__ import annotations

import os
from pathlib import Path

import pytest

from multitransport.cli.watching import changed, snapshot


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("app.py", "templates/page.html", "static/page.css", "static/page.js", "data.json", ".git/hook.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    for name in ("node_modules/library.js", "env/lib/library.py", "__pycache__/app.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    (tmp_path / "env/pyvenv.cfg").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_sources_are_seen_and_nothing_else(tree: Path) -> None:
    found = {os.path.relpath(path, tree) for path in snapshot(tree)}
    assert found == {"app.py", "templates/page.html", "static/page.css", "static/page.js"}


def test_what_is_written_made_or_removed_has_changed(tree: Path) -> None:
    before = snapshot(tree)
    assert changed(before, snapshot(tree)) == []
    os.utime(tree / "app.py", ns=(1, 1))
    (tree / "new.py").write_text("")
    (tree / "static/page.js").unlink()
    assert changed(before, snapshot(tree)) == ["app.py", "new.py", "static/page.js"]


def test_a_broken_link_is_no_source(tree: Path) -> None:
    before = snapshot(tree)
    (tree / "gone.py").symlink_to(tree / "nowhere.py")
    assert snapshot(tree) == before
