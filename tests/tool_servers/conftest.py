"""MCP servers as processes of their own."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from talkspurt.simulate.child_server import free_port
from tool_servers.desk import Warehouse

HERE = Path(__file__).parent


@pytest.fixture
def stdio_warehouse(tmp_path: Path) -> Warehouse:
    command = {"command": sys.executable, "arguments": [str(HERE / "warehouse.py"), "stdio", str(tmp_path)]}
    return Warehouse(tmp_path, command)


@contextmanager
def over_http(folder: Path, *more: str) -> Iterator[Warehouse]:
    port = free_port()
    arguments = [sys.executable, str(HERE / "warehouse.py"), "http", str(folder), str(port), *more]
    warehouse = Warehouse(folder, {"url": f"http://127.0.0.1:{port}/mcp"})

    def start() -> None:
        warehouse.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(1000):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        pytest.fail("the warehouse did not start")

    warehouse.restart = start
    start()
    try:
        yield warehouse
    finally:
        assert warehouse.process is not None
        warehouse.process.kill()
        warehouse.process.wait()


@pytest.fixture
def http_warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with over_http(tmp_path) as warehouse:
        yield warehouse


@pytest.fixture(params=["stdio", "http", "http with plain answers"])
def warehouse(stdio_warehouse: Warehouse, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    """A server, as a child process and over HTTP."""
    if request.param == "stdio":
        yield stdio_warehouse
    else:
        with over_http(tmp_path, *["json"][: request.param != "http"]) as warehouse:
            yield warehouse
