"""Which process this is, before a fork and after it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ratelimit_client.runtime import process

FORKED = """
import os
from ratelimit_client.runtime import process

before = process.pid
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, f"{process.pid} {os.getpid()}".encode())
    os._exit(0)
os.wait()
here, asked = os.read(read, 100).split()
print(here == asked, int(here) != before, process.pid == before == os.getpid())
"""


def test_it_is_this_one() -> None:
    """As the system numbers it."""
    assert process.pid == os.getpid()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_is_another_one() -> None:
    """From its first line on; the parent stays what it was."""
    ended = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["True"] * 3
