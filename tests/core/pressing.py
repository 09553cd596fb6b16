"""Callers in a hurry, for tests of the in-flight window."""

from __future__ import annotations

from ratelimit_client.core.concurrency import Ending, InFlightWindow


def greedy(window: InFlightWindow, *, now_ns: int) -> int:
    """Let out whatever may go; how many that were."""
    before = window.in_flight
    while window.has_room(now_ns=now_ns):
        window.granted(now_ns=now_ns)
    return window.in_flight - before


def answer(window: InFlightWindow, calls: int, *, now_ns: int, ending: Ending = Ending.SUCCEEDED) -> None:
    """So many calls, granted at 0, are answered and end."""
    for _ in range(calls):
        window.answered(now_ns=now_ns)
        window.ended(ending, 0, now_ns=now_ns)


def sent(window: InFlightWindow, until_ns: int, *, now_ns: int = 0) -> list[int]:
    """The instants at which a caller in a hurry, who asks when he was told to, sends one call after the other."""
    instants = []
    while now_ns <= until_ns:
        instants += [now_ns] * greedy(window, now_ns=now_ns)
        opens_ns = window.opens_at_ns(now_ns=now_ns)
        if opens_ns is None:
            break
        now_ns = opens_ns
    return instants


def overload(window: InFlightWindow, calls: int, *, granted_ns: int, now_ns: int) -> None:
    """So many calls that were granted then meet a server with too much to do."""
    for _ in range(calls):
        window.answered(now_ns=now_ns)
        window.ended(Ending.DROPPED, granted_ns, now_ns=now_ns)
