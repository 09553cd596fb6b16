"""
A pace for a server that minds how fast a rate grows.

Law of this file: it learns only from answers that say *slow down*, and from no single one.
What it learns is a rate, never how many calls may be under way. The rate is held for a
quarter of an hour and then grows by half in as long again, while it is used up.

Theory. Such a server compares what it has let in during the last minute with what it let in
during the quarter of an hour before, and refuses what goes beyond. While it refuses, then,
what was let in during the last minute is what it allows: the pace is nine tenths of that. It
begins with a pause, as long as the last minute would otherwise hold more than the pace.

One bad answer is no evidence. Calls are counted in the order in which they were sent, since
a refusal comes long before the answers to calls that were sent with it. A *slow down* counts
five, every call sent takes one back, and at forty it is more than chance: ten in a row, or
more than one in five for a while. Calls sent before a cut teach nothing after it.

A cut is a question, too: does the server say it less often? Within a minute of a cut there is
no new measure; when it is as bad as before, the pace is halved, down to a call in two seconds.
A pace without a measure is a guess: from a minute later on it doubles each quarter of a minute.
With a measure, one in sixteen of the calls sent later than a minute after a cut is bad enough to
cut again. After three cuts, each within a quarter of an hour of the one before, it does not come
from the rate: the pace is given up, and for a quarter of an hour it takes every other call to be
evidence.
"""

from __future__ import annotations

import attrs

from .bucket import Bucket
from .units import NS

# The rule as OpenAI's guide to error codes tells it: no more than half as much again in a quarter of an hour.
_HELD_NS = 900 * NS
_GROWTH = 37  # a 37th more in each of fifteen minutes
_MINUTE_NS = 60 * NS
_SAMPLED_NS = 5 * NS
_COUNTS, _DOUBTED, _ENOUGH = 5, 2, 40
_CUTS_MAX = 3
_ASKED, _HELPED = 64, 16
# So few calls let in measure nothing, and so many a minute are a flood to nobody.
_MEASURED, _LEAST = 16, 30


@attrs.frozen
class LetIn:
    """Calls and tokens that were let out up to an instant, less those that met *slow down*."""

    at_ns: int
    calls: int
    tokens: int

    def of(self, unit: str | None) -> int:
        """How many of *unit*."""
        return self.tokens if unit == "tokens" else self.calls


@attrs.frozen
class Refused:
    """
    A call that met *slow down*.

    Args:
        granted_ns: when it was let out.
        calls, tokens: what it was charged.
        all_calls, all_tokens: what was let out up to it, this one included.
    """

    granted_ns: int
    calls: int
    tokens: int
    all_calls: int
    all_tokens: int


@attrs.define(eq=False)
class SlowDown:
    """
    What one budget knows of such a server.

    Args:
        pace: a bucket of its own once something was learnt, in tokens if the calls pay any and were measured.
        due_ns: when ``note`` is to be told of what was let out.
        held_until_ns: the pace does not grow before.
    """

    pace: Bucket | None = None
    due_ns: int = 0
    held_until_ns: int = 0
    _samples: list[LetIn] = attrs.field(factory=lambda: [LetIn(-_MINUTE_NS, 0, 0)])
    _refused_calls: int = 0
    _refused_tokens: int = 0
    _score: int = 0
    _last: int = 0
    _cut: int = 0
    _cut_ns: int = -_HELD_NS
    _cuts: int = 0
    _asked: int | None = None
    _met: int = 0
    _doubted_until_ns: int = 0
    _guessed: bool = False
    _looked: LetIn = LetIn(0, 0, 0)
    _used_ns: int = 0

    def begin_anew(self, calls: int, tokens: int, *, now_ns: int) -> None:
        """What is let out is counted in another ledger from now on; the pace stands."""
        self._looked = LetIn(now_ns, calls, tokens)
        self._samples = [self._looked]
        self._refused_calls = self._refused_tokens = self._score = 0
        self._cut = self._last = calls
        self._asked = None

    # -- what was let out -----------------------------------------------------

    def end_debt(self) -> None:
        """Debt ends at what a minute brings: a call that pays a thousand times the usual holds nobody up for hours."""
        if self.pace is not None:
            self.pace.credits = max(self.pace.credits, -self.pace.limit * _MINUTE_NS)

    def note(self, calls: int, tokens: int, *, now_ns: int) -> bool:
        """So many calls and tokens were let out up to now, in all; True when the pace ended."""
        self.due_ns = now_ns + _SAMPLED_NS
        samples, last = self._samples, self._net(now_ns, calls, tokens)
        samples.append(last)
        while len(samples) > 1 and samples[1].at_ns <= now_ns - _MINUTE_NS:
            del samples[0]
        pace = self.pace
        if pace is None:
            return False
        if self._asked is None and now_ns - self._cut_ns >= _MINUTE_NS:
            self._asked, self._met = calls, 0
        passed_ns = now_ns - self._looked.at_ns
        if passed_ns < (_MINUTE_NS // 4 if self._guessed else _MINUTE_NS):
            return False
        units = last.of(pace.pays) - self._looked.of(pace.pays)
        self._looked = last
        if 4 * units * _MINUTE_NS >= 3 * pace.limit * passed_ns:
            self._used_ns = now_ns
            if now_ns >= self.held_until_ns:
                pace.refresh(now_ns=now_ns)
                _set_rate(pace, pace.limit + (pace.limit if self._guessed else max(1, pace.limit // _GROWTH)))
        elif now_ns - self._used_ns >= _HELD_NS:
            self.pace = None
        return self.pace is None

    def _net(self, at_ns: int, calls: int, tokens: int) -> LetIn:
        return LetIn(at_ns, calls - self._refused_calls, tokens - self._refused_tokens)

    # -- what was refused -----------------------------------------------------

    def refused(self, call: Refused, *, sent: int, busy_since_ns: int, now_ns: int) -> bool:
        """
        A call met *slow down*; True when that changed the pace.

        Args:
            sent: calls that were let out up to now.
            busy_since_ns: when calls came after a rest.
        """
        self._refused_calls += call.calls
        self._refused_tokens += call.tokens
        number = call.all_calls
        if number <= self._cut:
            return False
        self._score = max(0, self._score - max(0, number - self._last))
        self._last = max(self._last, number)
        self._score += _DOUBTED if now_ns < self._doubted_until_ns else _COUNTS
        if self._score < _ENOUGH and self._helped(number):
            return False
        self._cut, self._score, self._asked = sent, 0, None
        since_ns, self._cut_ns = now_ns - self._cut_ns, now_ns
        return self._lower(call, since_ns, busy_since_ns, now_ns)

    def _helped(self, number: int) -> bool:
        """The last cut did, as far as the calls up to this one that met it can tell; True without a cut as well."""
        if self._asked is None or number <= self._asked:
            return True
        self._met += 1
        return number - self._asked < _ASKED or _HELPED * self._met <= number - self._asked

    def _give_up(self, now_ns: int) -> bool:
        self.pace = self._asked = None
        self._doubted_until_ns = now_ns + _HELD_NS
        self._score = self._cuts = 0
        return True

    def _lower(self, call: Refused, since_ns: int, busy_since_ns: int, now_ns: int) -> bool:
        """It is more than chance, *since_ns* after the last cut."""
        last = self._net(call.granted_ns, call.all_calls, call.all_tokens)
        guessed = last.calls - self._samples[0].calls < _MEASURED or since_ns < _MINUTE_NS
        # A guess is one of calls: thirty times what one small call pays would hold a large one back for hours.
        unit = "tokens" if call.tokens and not guessed else "requests"
        if guessed and self.pace is not None:
            unit = self.pace.pays or unit
        each = max(1, call.tokens if unit == "tokens" else call.calls)
        had = self.pace.limit if self.pace is not None and self.pace.pays == unit else None
        if guessed and had is not None and had <= _LEAST * each:
            return False  # it does not get slower than that, and so it is no further question
        self._cuts = 1 if since_ns >= _HELD_NS else self._cuts + 1
        if self._cuts > _CUTS_MAX:
            return self._give_up(now_ns)
        if guessed:
            rate, pause_ns = max(_LEAST * each, (had or 0) // 2), 0
        else:
            start_ns = max(self._samples[0].at_ns, busy_since_ns)
            units = last.of(unit) - self._samples[0].of(unit)
            rate = 9 * units * _MINUTE_NS // (10 * max(_MINUTE_NS, last.at_ns - start_ns))
            if had is not None:
                rate = min(max(rate, had // 4), 9 * had // 10)
            rate = max(rate, each)
            pause_ns = self._pause_ns(last, unit, rate, start_ns, now_ns)
        pace = self.pace
        if pace is None or had is None:
            pace = Bucket.full("slow_down pace", rate, _MINUTE_NS, pays=unit, source="learned", now_ns=now_ns)
        pace.refresh(now_ns=now_ns)
        _set_rate(pace, rate)
        pace.credits = -rate * pause_ns
        self.pace, self._guessed = pace, guessed
        self.held_until_ns = now_ns + (_MINUTE_NS if guessed else _HELD_NS)
        self._looked, self._used_ns = LetIn(now_ns, last.calls, last.tokens), now_ns
        return True

    def _pause_ns(self, last: LetIn, unit: str, rate: int, start_ns: int, now_ns: int) -> int:
        """How long nothing goes so that no minute, of which a part is over, holds more than *rate*."""
        pause_ns = 0
        for sample in self._samples:
            left_ns = max(sample.at_ns, start_ns) + _MINUTE_NS - now_ns
            room = rate - (last.of(unit) - sample.of(unit))
            pause_ns = max(pause_ns, left_ns - room * _MINUTE_NS // rate)
        return min(pause_ns, _MINUTE_NS)


def _set_rate(pace: Bucket, rate: int) -> None:
    """So many units a minute, a second's worth at once."""
    pace.limit = rate
    pace.brim = max(_MINUTE_NS, rate * NS)
