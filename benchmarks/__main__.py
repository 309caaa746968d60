"""Run the benchmarks: all, or those whose name contains a word given; ``nodes`` is what several nodes do."""

from __future__ import annotations

import asyncio
import platform
import resource
import sys
from statistics import median

from benchmarks.figures import FIGURES, Figure
from benchmarks.load import Server
from benchmarks.nodes import measure_nodes

__all__: list[str] = []


async def _run(figure: Figure, kind: str) -> float:
    with Server.running(kind) as server:
        return await figure.measure(server)


def main(words: list[str]) -> int:
    """Print a line per figure; the exit code says whether all bounds hold."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    print(f"{'':42}{'bare':>12}{'ours':>12}{'ratio':>9}{'over':>10}  bound")
    all_hold = True
    for figure in FIGURES:
        if words and not any(word in figure.name for word in words):
            continue
        kinds = ("bare", "multitransport")
        rounds = [[asyncio.run(_run(figure, kind)) for kind in kinds] for _ in range(figure.rounds)]
        bare, ours = map(median, zip(*rounds, strict=True))
        holds = figure.holds(ours, bare)
        all_hold &= holds
        print(
            f"{figure.name:42}{bare:12,.1f}{ours:12,.1f}{ours / bare:9.2f}{ours - bare:10,.1f}  {figure.bound}"
            f" {figure.unit if 'over' in figure.bound else ''} {'ok' if holds else 'MISSED'}",
            flush=True,
        )
    if not words or "nodes" in words:
        asyncio.run(measure_nodes())
    return 0 if all_hold else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
