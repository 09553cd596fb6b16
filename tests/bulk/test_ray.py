"""What is Ray's own, translated. None of it needs Ray."""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ratelimit_client.bulk.engines.ray import Cluster, aside, check_address
from ratelimit_client.errors import ConfigurationError
from tests.programs import ROOT


@contextlib.contextmanager
def port(*, listening: bool) -> Iterator[int]:
    with socket.socket() as here:
        here.bind(("127.0.0.1", 0))
        if listening:
            here.listen()
        yield here.getsockname()[1]


def test_an_address_is_tried_before_ray_tries_it() -> None:
    """
    Somebody listens: good. Nobody does: said at once, with what to look at.
    """
    for word in (None, "auto", "local"):
        check_address(word)
    with port(listening=True) as number:
        check_address(f"127.0.0.1:{number}")
    with port(listening=False) as number, pytest.raises(ConfigurationError, match=r"cannot be reached: .*ray start"):
        check_address(f"127.0.0.1:{number}")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("ray://head:10001", "ray job submit"),
        ("head", "is no HOST:PORT"),
        (":6379", "is no HOST:PORT"),
        ("head:http", "is no HOST:PORT"),
        ("127.0.0.1:99999", "cannot be reached"),
    ],
)
def test_what_is_no_address_is_told(address: str, says: str) -> None:
    """
    With one that is.
    """
    with pytest.raises(ConfigurationError, match=says):
        check_address(address)


@pytest.mark.parametrize(("nodes", "asked", "count"), [(1, None, 2), (2, None, 2), (7, None, 7), (7, 3, 3), (1, 1, 1)])
def test_there_is_a_worker_for_each_node(nodes: int, asked: int | None, count: int) -> None:
    """
    Two at least, unless somebody says otherwise.
    """
    assert Cluster(None, nodes).worker_count(asked) == count


def test_what_ray_prints_does_not_go_where_rows_go(caplog: pytest.LogCaptureFixture) -> None:
    """
    It becomes a log line without colours; that a worker died we say ourselves.
    """
    rows = io.StringIO()
    with caplog.at_level(logging.WARNING), contextlib.redirect_stdout(aside(rows)):
        sys.stdout.write("\x1b[33m(raylet)\x1b[0m Workers were killed for want of memory.\nmore\n")
        sys.stdout.write("\x1b[33m(raylet)\x1b[0m A worker died or was killed while executing a task.")
        sys.stdout.write("\n")

    assert rows.getvalue() == ""
    assert [record.getMessage() for record in caplog.records] == [
        "ray: (raylet) Workers were killed for want of memory."
    ]


WITHOUT = """
import sys
sys.modules["ray"] = None
from ratelimit_client.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_without_ray_the_line_that_installs_it_is_told() -> None:
    """
    Exit code 2, and nothing was written.
    """
    words = ["run", str(ROOT / "examples" / "job.jsonl"), "-o", "/dev/shm/nothing", "--engine", "ray"]
    words += ["--base-url", "http://127.0.0.1:9/v1"]
    done = subprocess.run([sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "ray is not installed: pip install 'ratelimit-client[ray]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_import_load_no_ray() -> None:
    """
    Where it is installed it costs a second.
    """
    look = "import sys\nfrom ratelimit_client.adapters.ray import Answers\nfrom ratelimit_client.cli import main\n"
    look += "main(['run', '--help'])\nprint([name for name in sys.modules if name.split('.')[0] in ('ray', 'pyarrow')])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"
