"""
How many calls may be under way at once.

Law of this file: this window guards against what no bucket tells: limits that
nobody knows yet, and a server that has too much to do. A budget is not its
business.

Theory. Refusals come back within a round trip while answers take seconds, so
silence is good news. The window starts at four calls and doubles when a round of
answers has come, or after a silence counted from the first request of the round
that was *written*: twice the slowest connect or refusal seen, at least 250 ms.
A doubling is spread evenly over its round and never sent at once, so that the
first refusal finds few others on the way. Until anything was heard at all, no
more than 32 calls are out. Once a limit is known and calls leave at three times
its rate, more speed only empties the bucket sooner: a doubling then takes four
times as long, which is kind to servers that enforce less than they show.

Overload ("slow down", 503, 529, no answer at all) cuts the window by a quarter when
five of the last 32 calls met it, once for all calls that were out together; from
then on it grows by an eighth each answered round. A cut is also a question: do
fewer calls under way meet it less? The window stands still until 24 more calls have
ended. If they met it at more than a quarter of the rate, it does not come from how
many are out: the cut is taken back, and that much is *usual* from then on, so that
it takes five and twice the usual to cut.
"""

from __future__ import annotations

import enum

import attrs

from .units import NS

_FIRST = 4
_UNHEARD_MAX = 32
_SILENCE_NS = NS // 4
_GENTLE_TIMES = 4
# A server that is overloaded drops many; one in twenty is no overload, it is a bad day,
# and cutting for each would leave four calls in flight.
_LOOKED_AT = 32
_DROPS_TO_CUT = 5
_COMPARED = 24
_USUAL_MAX = 8


class Ending(enum.Enum):
    """How a call ended, as far as concurrency can learn from it."""

    SUCCEEDED = "succeeded"
    IGNORED = "ignored"
    DROPPED = "dropped"


# A look-up in an enum's class costs more than all else in a line.
_IGNORED, _DROPPED = Ending.IGNORED, Ending.DROPPED


@attrs.frozen
class _Cut:
    """
    What was before a cut, to compare with and to go back to.

    Args:
        base: the window's size.
        careful: it had been cut before.
        drops, among: how many calls met the overload, of how many from the first of them on.
    """

    base: int
    careful: bool
    drops: int
    among: int


@attrs.define(eq=False)
class InFlightWindow:
    """
    Args:
        ceiling: never more calls than this.
        waits_for_written: the caller reports when a request is written, so a
            round's silence is counted from there and not from the grant.
        gentle_above: a window that sends three times as fast as the known limit; None: not known.
        base: calls that may be in flight now, without what it is growing by.
    """

    ceiling: int
    waits_for_written: bool = False
    in_flight: int = 0
    heard: bool = False
    careful: bool = False
    gentle_above: int | None = None
    base: int = attrs.field(init=False)
    _grow: int = 0
    _grow_ns: int = 0
    _spread_ns: int = 1
    _round_ns: int | None = None
    _answers: int = 0
    _pressed: bool = False
    _slowest_ns: int = 0
    _cut_ns: int = -1
    _endings: int = 0
    _ended: int = 0
    _usual: int = 0
    _asked: _Cut | None = None

    @base.default
    def _first(self) -> int:
        return min(_FIRST, self.ceiling)

    @property
    def silence_ns(self) -> int:
        """How long nothing must be heard before it counts as good news."""
        return max(_SILENCE_NS, 2 * self._slowest_ns)

    @property
    def size(self) -> int:
        """Calls that may be in flight once the present growth is let out."""
        return self.base + self._grow

    @property
    def growing(self) -> bool:
        """The ramp has not come to its end."""
        return not self.careful and self.base + self._grow < self._top

    @property
    def full(self) -> bool:
        """The ramp, and not a budget, is what keeps further calls back."""
        return self.growing and self.in_flight >= self.base

    @property
    def _top(self) -> int:
        return self.ceiling if self.heard else min(self.ceiling, _UNHEARD_MAX)

    def allowed(self, *, now_ns: int) -> int:
        """Calls that may be in flight at *now_ns*."""
        if self._grow:
            elapsed_ns = now_ns - self._grow_ns
            if elapsed_ns < self._spread_ns:
                # The first of the new slots opens at once: it starts the clock of its round.
                return self.base + 1 + (self._grow - 1) * max(0, elapsed_ns) // self._spread_ns
            self.base += self._grow
            self._grow = 0
        if self._pressed and self.base < self._top and self._round_over(now_ns):
            self._begin_round(now_ns)
            return self.base + 1
        return self.base

    def _round_over(self, now_ns: int) -> bool:
        if self._asked is not None:
            return False  # a comparison at one size tells more than one on the way up
        if self._answers >= self.base:
            return True
        if self.careful or self._round_ns is None:
            return False
        return now_ns >= self._round_ns + self.silence_ns

    def _begin_round(self, now_ns: int) -> None:
        step = max(1, self.base // 8) if self.careful else self.base
        self._grow = min(step, self._top - self.base)
        self._grow_ns = now_ns
        gentle = self.gentle_above is not None and self.base >= self.gentle_above
        self._spread_ns = self.silence_ns * (_GENTLE_TIMES if gentle else 1)
        self._round_ns = None
        self._answers = 0
        self._pressed = False

    def has_room(self, *, wanted: bool = True, now_ns: int) -> bool:
        """One more call may go. Being *wanted* and saying no is what makes the window grow."""
        if self.in_flight < self.base or self.in_flight < self.allowed(now_ns=now_ns):
            return True
        self._pressed = self._pressed or wanted
        return self.in_flight < self.allowed(now_ns=now_ns)

    def opens_at_ns(self, *, now_ns: int) -> int | None:
        """
        When one more call may go if nothing else happens; None: not before something does.

        With more in flight than the window allows, after a cut, it is the first instant that could help.
        """
        if self.in_flight < self.allowed(now_ns=now_ns):
            return now_ns
        wanted = self.in_flight - self.base
        if wanted < self._grow:
            return self._grow_ns - (-wanted * self._spread_ns // (self._grow - 1))
        # Nothing of the present growth is left for it; another round begins after it.
        least_ns = self._grow_ns + self._spread_ns if self._grow else now_ns + 1
        if self.size >= self._top or self._asked is not None:
            return None
        if self._answers >= self.size:
            return least_ns
        if self.careful or self._round_ns is None:
            return None
        return max(least_ns, self._round_ns + self.silence_ns)

    # -- what happened --------------------------------------------------------

    def granted(self, now_ns: int) -> None:
        """A call was let out."""
        self.in_flight += 1
        if self._round_ns is None and not self.waits_for_written:
            self._round_ns = now_ns

    def written(self, granted_ns: int, *, now_ns: int) -> bool:
        """Its first byte reached the socket. True when that begins the silence of a round."""
        self._slowest_ns = max(self._slowest_ns, now_ns - granted_ns)
        if self._round_ns is not None:
            return False
        self._round_ns = now_ns
        return self._pressed

    def answered(self, *, now_ns: int) -> None:
        """The head of an answer came."""
        self.heard = True
        self._answers += 1

    def refused(self, sent_ns: int, *, now_ns: int) -> None:
        """A refusal came: how long it took says how long silence has to be to mean anything."""
        self._slowest_ns = max(self._slowest_ns, now_ns - sent_ns)

    def ended(self, ending: Ending, granted_ns: int, now_ns: int) -> None:
        """The slot is free again."""
        self.in_flight -= 1
        dropped = ending is _DROPPED
        if not dropped and not self._endings and self._asked is None:
            return  # all is well, and was
        if granted_ns <= self._cut_ns or ending is _IGNORED:
            return  # it was out with those that made the last cut, or it tells nothing
        self._endings = (self._endings << 1 | dropped) & ((1 << _LOOKED_AT) - 1)
        self._ended += 1
        if dropped and self._endings.bit_count() >= _DROPS_TO_CUT + 2 * self._usual:
            self._cut(now_ns)
        elif self._asked is not None and self._ended == _COMPARED:
            self._compare(self._asked)

    def _cut(self, now_ns: int) -> None:
        self._asked = _Cut(self.base, self.careful, self._endings.bit_count(), self._endings.bit_length())
        out = max(self.in_flight + 1, 1)
        self.base = max(1, min(self.base, out) * 3 // 4)
        self._grow = self._answers = self._endings = self._ended = 0
        self._cut_ns = now_ns
        self.careful = True

    def _compare(self, before: _Cut) -> None:
        """Enough calls have ended since the cut: did it help?"""
        self._asked = None
        drops = self._endings.bit_count()
        if 4 * drops * before.among > before.drops * _COMPARED:
            self._usual = min(drops, _USUAL_MAX)
            self.base = max(self.base, before.base)
            self.careful = before.careful
        else:
            self._usual //= 2

    def restart(self) -> None:
        """Begin with the ramp again, as after an outage."""
        self.base, self._grow, self._answers, self._round_ns = self._first(), 0, 0, None
        self._endings, self._asked = 0, None
        self.careful = False
