"""
Ctrl-C for the thread a test runs in.

Python looks for signals before a thread begins to wait, and a signal that comes just then is noticed with the next
one; so this one is sent until it is noticed, and then no more.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interrupted_once(ready: Callable[[], object]) -> Iterator[None]:
    """Within, the main thread gets one KeyboardInterrupt, after *ready* has returned in another thread."""
    over, noticed = threading.Event(), False

    def once(*_: object) -> None:
        nonlocal noticed
        if not noticed:
            noticed = True
            over.set()
            raise KeyboardInterrupt

    def interrupt() -> None:
        ready()
        while not over.wait(0.05):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, once)
    try:
        thread.start()
        yield
    finally:
        noticed = True
        over.set()
        thread.join()
        signal.signal(signal.SIGINT, before)
