"""
What many calls meet together.

Law of this file: of the calls that were on their way when the first of them met something, none
tells anything new. One that was sent later does.

Theory. A limit that is reached while a thousand calls are in flight is a thousand refusals, and one
thing that happened. They were all sent before the first refusal was heard; a call sent after it was
sent by a limiter that knew. So an epoch is a key, what it met, and the instant of the first, and it
has ended when a call meets the same that was sent after that instant. Deadlines pass in the queue,
where nothing is sent: there an epoch is ten seconds.
"""

from __future__ import annotations

from collections import OrderedDict

import attrs

from ...core.events import Event, Kind
from ...core.units import NS

_TOGETHER = frozenset({Kind.REFUSED, Kind.ERRED, Kind.FAILED, Kind.EXPIRED})
_EXPIRED_NS = 10 * NS
_MOST = 1024
"""Names come from outside: of so many epochs the last are remembered."""


@attrs.define(eq=False)
class Epoch:
    """Since when, and how many calls met the same without a word."""

    since_ns: int
    untold: int = 0


class Epochs:
    """What was told, by key and by what was met."""

    def __init__(self) -> None:
        self._epochs: OrderedDict[tuple[Kind, str, object], Epoch] = OrderedDict()

    def told_before(self, event: Event) -> int | None:
        """None: it is a part of what was told. Else how many calls met the same in the epoch before."""
        if event.kind not in _TOGETHER:
            return 0
        at = (event.kind, event.key, _what(event))
        epoch = self._epochs.get(at)
        if epoch is not None and _belongs(event, epoch):
            epoch.untold += 1
            return None
        self._epochs[at] = Epoch(event.at_ns)
        self._epochs.move_to_end(at)
        if len(self._epochs) > _MOST:
            self._epochs.popitem(last=False)
        return 0 if epoch is None else epoch.untold


def _what(event: Event) -> object:
    """What exactly was met: the limit, the error."""
    facts = event.facts
    return facts.get("unit") or facts.get("reason") or facts.get("failure") or facts.get("error")


def _belongs(event: Event, epoch: Epoch) -> bool:
    sent_ns = event.facts.get("sent_ns")
    if isinstance(sent_ns, int):
        return sent_ns <= epoch.since_ns
    return event.at_ns < epoch.since_ns + _EXPIRED_NS
