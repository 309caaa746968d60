from __future__ import annotations

import socket
from pathlib import Path

import click
import pytest

from multitransport.cli.listening import listen, url_of


def test_a_port_is_listened_on_and_named() -> None:
    with listen("127.0.0.1:0", 10) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener) == f"http://127.0.0.1:{port}"
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_all_addresses_are_named_by_one_a_browser_can_open() -> None:
    with listen("0.0.0.0:0", 10) as listener:
        assert url_of(listener).startswith("http://127.0.0.1:")


def test_a_path_is_listened_on_also_where_a_killed_process_left_it(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    listen(f"unix:{path}", 10).close()
    with listen(f"unix:{path}", 10) as listener:
        assert url_of(listener) == f"unix:{path}"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_taken_port_is_said_in_a_line() -> None:
    with listen("127.0.0.1:0", 10) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(click.ClickException, match=f"cannot listen on {address}: .*in use"):
            listen(address, 10)


@pytest.mark.parametrize(
    "bind", ["8000", "localhost", "localhost:http", ":8000", "127.0.0.1:70000", "no.such.host.invalid:80"]
)
def test_an_address_that_cannot_be_is_said_in_a_line(bind: str) -> None:
    with pytest.raises(click.ClickException, match=r"host:port|cannot listen on"):
        listen(bind, 10)


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("precious")
    with pytest.raises(click.ClickException, match="cannot listen"):
        listen(f"unix:{path}", 10)
    assert path.read_text() == "precious"
