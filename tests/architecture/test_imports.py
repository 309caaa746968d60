from __future__ import annotations

import graphlib

from tests.architecture.source import imports, module_name, python_files


def test_no_import_cycles_counting_those_for_type_checking() -> None:
    files = {module_name(path): path for path in python_files()}
    modules = frozenset(files)
    graph = {name: set(imports(path, modules)) - {name} for name, path in files.items()}
    assert any(graph.values()), "no import was found: this test has gone blind"
    graphlib.TopologicalSorter(graph).prepare()
