"""Real proxies that run what the documentation tells people to write."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from multitransport.testing.server import free_port
from multitransport.testing.waiting import eventually

__all__ = ["documented", "haproxy", "nginx", "replaced"]

DOCS = Path(__file__).resolve().parents[1] / "docs"
PLACES = "/usr/sbin:/usr/bin:/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin"
NGINX_FRAME = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""


def documented(page: str, language: str) -> str:
    """Return the one block in this language of a page below ``docs``."""
    blocks: list[str] = re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    assert len(blocks) == 1, f"{page} has {len(blocks)} blocks of {language}"
    return blocks[0]


def replaced(text: str, places: Mapping[str, str]) -> str:
    """Replace each of the places, all of which have to be there."""
    for old, new in places.items():
        assert old in text, f"{old!r} is not in the documentation"
        text = text.replace(old, new)
    return text


@asynccontextmanager
async def nginx(page: str, addresses: Mapping[str, str], folder: Path, prefix: str = "") -> AsyncIterator[str]:
    """Run nginx with what a page says but for ``addresses``, the application's below ``prefix``; gives its origin."""
    own = free_port()
    places = {"listen 80;": f"listen 127.0.0.1:{own};", **addresses}
    if prefix:
        places |= {f"location {path} {{": f"location {prefix}{path} {{" for path in ("/", "/realtime/")}
    file = folder / "nginx.conf"
    server = replaced(documented(page, "nginx"), places)
    file.write_text(NGINX_FRAME.format(folder=folder, server=server), encoding="utf-8")
    origin = f"http://127.0.0.1:{own}{prefix}"
    async with _running("nginx", "-e", "stderr", "-p", str(folder), "-c", str(file), origin=origin):
        yield origin


@asynccontextmanager
async def haproxy(page: str, addresses: Mapping[str, str], folder: Path) -> AsyncIterator[str]:
    """Run HAProxy with what a page says but for ``addresses``; gives its origin."""
    own = free_port()
    file = folder / "haproxy.cfg"
    text = replaced(documented(page, "haproxy"), {"bind :80": f"bind 127.0.0.1:{own}", **addresses})
    file.write_text(text, encoding="utf-8")
    origin = f"http://127.0.0.1:{own}"
    async with _running("haproxy", "-db", "-f", str(file), origin=origin):
        yield origin


@asynccontextmanager
async def _running(name: str, *arguments: str, origin: str) -> AsyncIterator[None]:
    program = shutil.which(name, path=PLACES)
    assert program is not None, f"{name} is needed: see `make test`"
    process = await asyncio.create_subprocess_exec(program, *arguments)
    try:
        async with httpx.AsyncClient() as http:
            await eventually(lambda: _answers(http, f"{origin}/realtime/health", process))
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _answers(http: httpx.AsyncClient, url: str, process: asyncio.subprocess.Process) -> bool:
    assert process.returncode is None, f"it ended with {process.returncode}: see its standard error"
    try:
        return (await http.get(url)).status_code == 200
    except httpx.TransportError:
        return False
