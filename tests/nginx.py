"""A real nginx in front of any number of servers, as the how-to says, taking turns between them."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from multitransport.testing.server import free_port
from multitransport.testing.waiting import eventually

__all__ = ["balanced"]

_HOWTO = Path(__file__).resolve().parents[1] / "docs/howto/deploy.md"
_NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin")
_FRAME = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
worker_rlimit_nofile 8192;
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


@asynccontextmanager
async def balanced(ports: Sequence[int], folder: Path) -> AsyncIterator[str]:
    """Give the origin of an nginx that sends each request to the next of these ports."""
    assert _NGINX is not None, "nginx is needed: see `make test`"
    own = free_port()
    file = folder / "nginx.conf"
    file.write_text(_FRAME.format(folder=folder, server=_configuration(own, ports)), encoding="utf-8")
    nginx = await asyncio.create_subprocess_exec(
        _NGINX, "-e", str(folder / "nginx.log"), "-p", str(folder), "-c", str(file)
    )
    try:
        await eventually(lambda: _accepts(own), 10.0)
        yield f"http://127.0.0.1:{own}"
    finally:
        nginx.kill()
        await nginx.wait()


def _configuration(own: int, ports: Sequence[int]) -> str:
    """Return what the how-to has people write, with these servers."""
    [block] = re.findall(r"^```nginx\n(.*?)^```", _HOWTO.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert block.count("listen 80;") == 1, "the how-to listens elsewhere"
    servers = "\n    ".join(f"server 127.0.0.1:{port};" for port in ports)
    replaced, count = re.subn(r"(?:server 127\.0\.0\.1:\d+[^;]*;\s+)+", lambda _: f"{servers}\n    ", block)
    assert count == 1, "the how-to has its servers elsewhere"
    return str(replaced).replace("listen 80;", f"listen 127.0.0.1:{own};")


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
