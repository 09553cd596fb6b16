"""
Bytecode of the library, made before anything is measured.

Law of this file: what is measured is the program and not the compiler. Where Python was told to write no
bytecode (``PYTHONDONTWRITEBYTECODE``), every process would compile anew whatever changed since it was installed.
"""

from __future__ import annotations

import compileall
from pathlib import Path

import ratelimit_client


def compile_library() -> None:
    """See that a new process finds all modules compiled."""
    compileall.compile_dir(Path(ratelimit_client.__file__).parent, quiet=1)
