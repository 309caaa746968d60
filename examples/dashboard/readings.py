"""Readings of this machine, cheap enough to take ten times a second.

A counter read ten times a second is coarse: the kernel counts processor time in hundredths of a second, so a tenth of
one can only be 0 %, 10 %, 20 % … Every rate is therefore taken over the last second, a window that slides on with each
reading.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import psutil

WINDOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Counters:
    """What the machine has counted since it started, at one moment: seconds of processor time, bytes."""

    seconds: float
    busy: tuple[float, ...]
    total: tuple[float, ...]
    read: int
    written: int
    received: int
    sent: int


def counters() -> Counters:
    """Read the counters now. A machine that hides its disks or its network (psutil says None) counts nothing there."""
    busy, total = [], []
    for times in psutil.cpu_times(percpu=True):
        # A guest's time is already in the host's `user` and `nice`.
        spent = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        total.append(spent)
        busy.append(spent - times.idle - getattr(times, "iowait", 0.0))
    disk = psutil.disk_io_counters(nowrap=False)
    network = psutil.net_io_counters(nowrap=False)
    return Counters(
        seconds=time.monotonic(),
        busy=tuple(busy),
        total=tuple(total),
        read=getattr(disk, "read_bytes", 0),
        written=getattr(disk, "write_bytes", 0),
        received=getattr(network, "bytes_recv", 0),
        sent=getattr(network, "bytes_sent", 0),
    )


def cores(old: Counters, new: Counters) -> list[float]:
    """How busy each core was between the two, in percent with one decimal; a core that came or went reads 0."""
    if len(old.total) != len(new.total):
        return [0.0] * len(new.total)
    return [
        _percent(new_busy - old_busy, new_total - old_total)
        for old_busy, new_busy, old_total, new_total in zip(old.busy, new.busy, old.total, new.total, strict=True)
    ]


def rate(old: int, new: int, seconds: float) -> int:
    """Bytes a second; 0 where no time has passed or the counter went back, as it does when a device is removed."""
    return round(max(0, new - old) / seconds) if seconds > 0 else 0


def _percent(part: float, whole: float) -> float:
    return round(min(100.0, max(0.0, 100.0 * part / whole)), 1) if whole > 0 else 0.0


class Sampler:
    """Takes readings: one dict a call, with short keys, since a page gets 3,000 of them when it loads.

    | key | value |
    |---|---|
    | `t` | when, in milliseconds since 1970 |
    | `c` | per core, busy percent |
    | `m` | memory in use, MB |
    | `d` | disks: bytes a second read, written |
    | `w` | network, loopback included: bytes a second received, sent |
    | `l` | load average over 1, 5 and 15 minutes |
    """

    def __init__(self) -> None:
        self._past: deque[Counters] = deque([counters()])

    def read(self) -> dict[str, Any]:
        """Take a reading over the last second, or over the time since the first call where that is less."""
        now = counters()
        self._past.append(now)
        while len(self._past) > 2 and self._past[1].seconds <= now.seconds - WINDOW_SECONDS:
            self._past.popleft()
        old = self._past[0]
        seconds = now.seconds - old.seconds
        memory = psutil.virtual_memory()
        return {
            "t": round(time.time() * 1000),
            "c": cores(old, now),
            "m": round((memory.total - memory.available) / 1e6),
            "d": [rate(old.read, now.read, seconds), rate(old.written, now.written, seconds)],
            "w": [rate(old.received, now.received, seconds), rate(old.sent, now.sent, seconds)],
            "l": [round(load, 2) for load in psutil.getloadavg()],
        }


def busiest(count: int) -> list[list[Any]]:
    """The processes that used the processor most since the last call, as `[pid, name, percent of one core, MB]`.

    It opens a few files for every process there is, tens of milliseconds on a busy machine: call it every second or
    two, and not on the event loop. The first call finds everybody idle and orders them by memory alone.
    """
    found = []
    for process in psutil.process_iter():
        # A process may end, or not be ours to look at, between any two questions.
        with contextlib.suppress(psutil.Error), process.oneshot():
            found.append((process.cpu_percent(), process.memory_info().rss, process.pid, process.name()))
    found.sort(reverse=True)
    return [[pid, name, round(percent, 1), round(rss / 1e6, 1)] for percent, rss, pid, name in found[:count]]


def machine() -> dict[str, Any]:
    """What does not change from one reading to the next: how many cores, how much memory in MB."""
    return {"cores": len(psutil.cpu_times(percpu=True)), "memory": round(psutil.virtual_memory().total / 1e6)}
