"""
Which window a bucket has, read off the numbers of one answer.

Law of this file: a bucket of ``limit`` units that refills evenly over a window W
shows, cut to whole grains (milliseconds), reset = used x W / limit, and refuses
with the wait (used + requested - limit) x W / limit. So W lies between

    reset x limit / used    and    (reset + grain) x limit / max(used - 1, paid)

because ``remaining`` is rounded down (up to one unit less was used than it says)
and the call itself paid ``paid`` of it. Exactly one usual window inside, with 2 %
to spare, is the answer; none or several is None. Undetermined stays undetermined:
a guess here would stall a daily limit or flood a minute's.

Theory: servers do not send W, and one header name hides windows of a minute, a day
and 30 days. The usual windows lie a factor of six or more apart, so the interval
only has to be narrower than that. It fails to be when ``reset`` is a grain or two,
which is when the bucket is as good as full and the window does not matter yet.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from .units import NS

USUAL_WINDOWS_NS = tuple(seconds * NS for seconds in (1, 10, 60, 3_600, 86_400, 2_592_000))
"""A second, ten, a minute, an hour, a day, 30 days: the windows that servers have been seen to use."""

MILLISECOND_NS = NS // 1_000


def infer_window_ns(
    limit: int, remaining: int, reset_ns: int, paid: int = 1, *, grain_ns: int = MILLISECOND_NS
) -> int | None:
    """
    The window that one reading determines, or None.

    Args:
        limit, remaining: whole units, as shown.
        reset_ns: time until full, as shown.
        paid: what the answered call itself was charged here; 0 where that is not known.
        grain_ns: what ``reset`` was cut to.
    """
    used = limit - remaining
    if limit <= 0 or remaining < 0 or used <= 0 or reset_ns <= 0:
        return None

    # An empty bucket may be overdrawn without showing it: 60.052 s of a minute has been
    # seen, and 63 s. A tenth is allowed for that; the usual windows lie much further apart.
    over = 110 if remaining == 0 else 100
    least_used = max(used - 1, min(paid, used))
    if least_used == 0:
        return None

    return _only_usual(reset_ns * limit * 98, used * over, (reset_ns + grain_ns) * limit * 102, least_used * 100)


def window_bounds_ns(limit: int, remaining: int, reset_ns: int) -> tuple[int, int] | None:
    """
    Between which windows one answer lies if its ``reset`` is the time to full; None when nothing is used.

    Wider than what `infer_window_ns` takes: nothing is known of what the call paid, and an empty bucket may
    owe as much as it holds.
    """
    used = limit - remaining
    if limit <= 0 or remaining < 0 or used <= 0:
        return None

    over = 200 if remaining == 0 else 100
    least_ns = reset_ns * limit * 98 // (used * over)
    if used == 1:
        return least_ns, USUAL_WINDOWS_NS[-1]

    return least_ns, (reset_ns + MILLISECOND_NS) * limit * 102 // ((used - 1) * 100)


def window_of_reset_ns(reset_ns: int) -> int:
    """The least usual window in which a time to its end may be *reset_ns*."""
    first = bisect_left(USUAL_WINDOWS_NS, reset_ns * 98 // 100)
    return USUAL_WINDOWS_NS[min(first, len(USUAL_WINDOWS_NS) - 1)]


def infer_window_of_wait_ns(
    limit: int, used: int, requested: int, wait_ns: int, *, grain_ns: int = MILLISECOND_NS
) -> int | None:
    """The window that a refusal's own numbers determine: wait = (used + requested - limit) x W / limit."""
    missing = used + requested - limit
    if limit <= 0 or missing <= 0 or wait_ns <= 0:
        return None

    return _only_usual(wait_ns * limit * 98, missing * 100, (wait_ns + grain_ns) * limit * 102, missing * 100)


def infer_window_s(limit: float, remaining: float, reset_s: float, paid: float = 1) -> float | None:
    """`infer_window_ns` for numbers as a header has them; fractions of a unit are dropped."""
    # A reset is below 31 days, where a float still tells nanoseconds: no need for to_ns.
    window_ns = infer_window_ns(int(limit), int(remaining), round(reset_s * NS), int(paid))
    return None if window_ns is None else window_ns / NS


def _only_usual(low: int, low_by: int, high: int, high_by: int) -> int | None:
    """The one usual window in [low / low_by, high / high_by]."""
    high_ns = high // high_by
    first = bisect_left(USUAL_WINDOWS_NS, -(-low // low_by))
    inside = bisect_right(USUAL_WINDOWS_NS, high_ns, first)
    return USUAL_WINDOWS_NS[first] if inside == first + 1 else None
