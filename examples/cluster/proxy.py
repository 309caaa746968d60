"""What nginx is told: plain round robin over the nodes, without affinity, and a path for the supervisor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

TEMPLATE = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{
    worker_connections 2048;
}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;

    map $http_upgrade $connection_upgrade {{
        default upgrade;
        ""      close;
    }}

    upstream nodes {{
{nodes}
    }}

    server {{
        listen 127.0.0.1:{port};

        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        # A node that is gone is left out for a second; what it cannot have begun to carry out, the next one gets.
        proxy_connect_timeout 1s;
        proxy_next_upstream error timeout;

        location / {{
            proxy_pass http://nodes;
        }}

        location /realtime/ {{
            proxy_pass http://nodes;
            proxy_buffering off;
            proxy_read_timeout 75s;
            proxy_send_timeout 75s;
            client_max_body_size 2m;
            gzip off;
        }}

        location /control/ {{
            proxy_pass http://unix:{control}:/;
        }}
    }}
}}
"""


def configuration(*, folder: Path, port: int, nodes: Sequence[int], control: Path) -> str:
    """Return the configuration of an nginx on ``port`` before nodes on these ports, with its files in ``folder``."""
    servers = "\n".join(f"        server 127.0.0.1:{node} max_fails=1 fail_timeout=1s;" for node in nodes)
    return TEMPLATE.format(folder=folder, port=port, nodes=servers, control=control)
