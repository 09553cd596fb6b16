"""
What the ``reset`` that a server shows beside one limit means.

Law of this file: ``reset`` is believed to be the time to full until the answers
contradict that three times; a single odd answer is no evidence.

Theory. A bucket over a window W that is filled evenly shows used x W / limit, so each
answer bounds W from both sides (see ``windows``), and all answers about one limit
bound the same W, whoever spends. Bounds that exclude each other have another cause:

* a ``reset`` that falls as time passes, whatever is used, is the time to the *step* of
  a counter; its window is the least usual one that is long enough;
* any other (a constant, the time to the next unit, whole seconds) means nothing.
"""

from __future__ import annotations

import enum

import attrs

from .units import NS
from .windows import MILLISECOND_NS, USUAL_WINDOWS_NS, window_bounds_ns, window_of_reset_ns

_LEAST_NS = USUAL_WINDOWS_NS[0] * 98 // 100
_MOST_NS = USUAL_WINDOWS_NS[-1] * 102 // 100
# One odd answer contradicts twice: what came before it, and what comes after.
_ENOUGH = 3
_FORGIVEN_AFTER = 64
# Long enough for servers that write whole seconds.
_LOOK_NS = 2 * NS


class Meaning(enum.Enum):
    """What a ``reset`` counts."""

    TO_FULL = "time to full"
    TO_STEP = "time to the next step"
    NOTHING = "nothing"


@attrs.define(eq=False)
class Resets:
    """The resets of one limit."""

    meaning: Meaning = Meaning.TO_FULL
    window_ns: int = 0
    _limit: int | None = None
    _least_ns: int = _LEAST_NS
    _most_ns: int = _MOST_NS
    _conflicts: int = 0
    _agreed: int = 0
    _top: tuple[int, int] = (0, 0)
    _last_ns: int = -1

    @property
    def tells_window(self) -> bool:
        """The numbers of an answer may be used to infer a window."""
        return self.meaning is Meaning.TO_FULL and self._conflicts < _ENOUGH

    def see(self, limit: int, remaining: int, reset_ns: int, *, snap_ns: int) -> bool:
        """
        One more answer, of a later call than all before; True when it changed what is thought of the resets.

        Args:
            limit, remaining: whole units, as shown.
            snap_ns: when the server looked.
        """
        if self.meaning is Meaning.TO_STEP:
            return self._step_is_longer(reset_ns)
        if self.meaning is Meaning.NOTHING:
            return False
        if limit != self._limit:
            self._limit, self._conflicts = limit, 0
            self._bound(_LEAST_NS, _MOST_NS)
        if reset_ns > self._last_ns + MILLISECOND_NS:
            self._top = (snap_ns, reset_ns)
        self._last_ns = reset_ns
        self._compare(limit, remaining, reset_ns)
        return self._conflicts >= _ENOUGH and self._conclude(reset_ns, snap_ns)

    def _compare(self, limit: int, remaining: int, reset_ns: int) -> None:
        bounds = window_bounds_ns(limit, remaining, reset_ns)
        if bounds is None:
            return
        least_ns, most_ns = bounds
        if least_ns <= self._most_ns and most_ns >= self._least_ns:
            self._least_ns = max(self._least_ns, least_ns)
            self._most_ns = min(self._most_ns, most_ns)
            self._agreed += 1
            if self._agreed >= _FORGIVEN_AFTER:
                self._conflicts = 0
            return
        self._conflicts += 1
        self._bound(max(_LEAST_NS, least_ns), min(_MOST_NS, most_ns))

    def _bound(self, least_ns: int, most_ns: int) -> None:
        self._least_ns, self._most_ns, self._agreed = least_ns, most_ns, 0

    def _conclude(self, reset_ns: int, snap_ns: int) -> bool:
        """Has it fallen with the time, since it last rose?"""
        since_ns, from_ns = self._top
        elapsed_ns = snap_ns - since_ns
        if elapsed_ns < min(_LOOK_NS, from_ns // 2):
            return False
        if abs(from_ns - reset_ns - elapsed_ns) * 2 <= elapsed_ns:
            self.meaning, self.window_ns = Meaning.TO_STEP, window_of_reset_ns(from_ns)
        else:
            self.meaning = Meaning.NOTHING
        return True

    def _step_is_longer(self, reset_ns: int) -> bool:
        """The window was guessed in its last part: a later reset shows that it is longer."""
        window_ns = window_of_reset_ns(reset_ns)
        longer = window_ns > self.window_ns
        self.window_ns = max(self.window_ns, window_ns)
        return longer
