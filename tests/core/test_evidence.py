"""What a server charged, seen from what was left."""

from __future__ import annotations

import attrs
import pytest

from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.estimate import Estimator, Features
from ratelimit_client.core.evidence import ChargeEvidence, Sum
from ratelimit_client.core.profile import Refill
from ratelimit_client.core.readings import Lesson
from ratelimit_client.core.ticket import Ticket
from ratelimit_client.core.units import NS as S
from tests.core.driving import Drive, scheduler

LIMIT, WINDOW = 6000, 60 * S  # a hundred a second
JITTER = S // 10


class Noted(Estimator):
    """Writes down what it is taught: (chars, max_output, fixed, endpoint, calls, charged)."""

    def __init__(self) -> None:
        super().__init__()
        self.lessons: list[tuple[int, int, int, str | None, int, int]] = []
        self.features: list[Features] = []

    def learn(self, features: Features, calls: int, charged: int, *, stated: bool = False) -> bool:
        self.features.append(features)
        self.lessons.append(
            (features.chars, features.max_output, features.fixed, features.endpoint, calls, charged)
        )
        return super().learn(features, calls, charged, stated=stated)


@attrs.define
class Pad:
    """One key with one bucket of tokens, full at zero."""

    order: int = 0
    in_flight: int = 1
    evidence: ChargeEvidence = attrs.field(factory=ChargeEvidence)
    estimator: Noted = attrs.field(factory=Noted)
    bucket: Bucket = attrs.field(
        factory=lambda: Bucket.full("tokens", LIMIT, WINDOW, pays="tokens", now_ns=0)
    )

    def call(self, at_s: float, chars: int = 400, max_output: int = 0, endpoint: str = "chat") -> Ticket:
        features = Features(chars, max_output, endpoint=endpoint)
        return self.asks(features, at_s)

    def asks(self, features: Features, at_s: float) -> Ticket:
        """A call of these is let out."""
        ticket = Ticket(0, "m", "", 0, Cost(), features, None, 0)
        ticket.order = self.grant(features, at_s)
        return ticket

    def grant(self, what: Features | int, at_s: float) -> int:
        """The number of a grant."""
        self.order += 1
        self.evidence.granted(self.order, what, self.in_flight, round(at_s * S))
        return self.order

    def reads(self, ticket: Ticket, left: float, at_s: float, *, asleep: bool = False, trusted: bool = True) -> None:
        """The server had *left* units when it looked, at that second, with this call charged."""
        lesson = Lesson(0, 0, asleep, int(left * WINDOW), round(at_s * S))
        self.evidence.read(ticket, self.bucket, lesson, self.estimator, trusted=trusted, jitter_ns=JITTER)

    def taught(self) -> list[tuple[int, int]]:
        """(calls, charged) of every lesson so far."""
        return [lesson[4:] for lesson in self.estimator.lessons]


def test_the_first_call_shows_what_it_was_charged() -> None:
    """The bucket was full before it."""
    pad = Pad()
    pad.reads(pad.call(0), LIMIT - 130, 0)

    assert pad.estimator.lessons == [(400, 0, 0, "chat", 1, 130)]


def test_between_two_readings_everything_that_left_was_charged() -> None:
    """What flowed back in between is added: three calls took 450 although only 350 are missing."""
    pad = Pad()
    pad.reads(pad.call(0), LIMIT - 1000, 0)
    calls = [pad.call(0.3 + number / 5, chars=100 * number) for number in range(3)]
    pad.reads(calls[2], LIMIT - 1000 - 450 + 100, 1)

    assert pad.estimator.lessons[1:] == [(300, 0, 0, "chat", 3, 450)]


def test_of_a_bucket_that_was_full_in_between_only_a_single_call_can_be_told() -> None:
    """What overflowed is not known; a lone call found it full."""
    pad = Pad()
    pad.reads(pad.call(0), LIMIT - 50, 0)
    pad.reads(pad.call(10), LIMIT - 70, 10)
    assert pad.taught() == [(1, 50), (1, 70)]

    pad.call(20)
    pad.reads(pad.call(20.2), LIMIT - 90, 20.2)
    assert pad.taught() == [(1, 50), (1, 70)], "two calls: which of them was charged what?"
    pad.reads(pad.call(20.4), LIMIT - 170, 20.4)
    assert pad.taught()[2:] == [(1, 100)], "and from there on it goes on"


def test_calls_that_may_still_be_on_their_way_make_a_span_wait() -> None:
    """A span with one call that may be overtaken counts once it is eight times as large."""
    pad = Pad()
    pad.reads(pad.call(0), LIMIT - 2000, 0)
    left = LIMIT - 2000.0
    for number in range(1, 15):
        at_s = 0.2 * number
        pad.call(at_s - 0.01)
        ticket = pad.call(at_s)  # the one before it may be overtaken
        left -= 2 * 100 - 20
        pad.reads(ticket, left, at_s)
        # Of the first span only its end is unsure, of the next one both ends are.
        assert len(pad.taught()) == 1 + (number >= 4) + (number >= 12)

    assert pad.taught()[1:] == [(8, 8 * 100), (16, 16 * 100)]


def test_who_is_not_trusted_teaches_nothing_and_begins_anew() -> None:
    """While others spend, or a series sleeps, whatever left may not have been ours."""
    for asleep, trusted in ((False, False), (True, True)):
        pad = Pad()
        pad.reads(pad.call(0), LIMIT - 3000, 0, asleep=asleep, trusted=trusted)
        pad.reads(pad.call(0.3), LIMIT - 4000, 0.3, asleep=asleep, trusted=trusted)
        assert pad.taught() == []

        pad.reads(pad.call(0.6), LIMIT - 4070, 0.6)
        assert pad.taught() == [(1, 100)], "from the last of them on"


def test_readings_without_a_price_are_none_of_its_business() -> None:
    """A call whose cost was stated, or a bucket that steps: neither shows a charge."""
    pad = Pad()
    pad.reads(Ticket(0, "m", "", 0, Cost(tokens=5), None, None, 0), LIMIT - 5, 0)
    pad.bucket.refill = Refill.WINDOW
    pad.reads(pad.call(0), LIMIT - 100, 0)

    assert pad.taught() == []


def test_the_same_span_is_not_counted_twice() -> None:
    """An answer of a call that was counted already teaches nothing."""
    pad = Pad()
    first, second = pad.call(0), pad.call(0.3)
    pad.reads(second, LIMIT - 200, 0.3)
    pad.reads(first, LIMIT - 200, 0.35)

    assert pad.taught() == []
    pad.reads(pad.call(0.6), LIMIT - 270, 0.6)
    assert pad.taught() == [(1, 100)]


def test_what_was_stated_is_taken_off() -> None:
    """Calls with a cost of their own pay from the same bucket; only the rest is the estimate's."""
    pad = Pad()
    pad.reads(pad.call(0), LIMIT - 1000, 0)
    pad.grant(300, 0.2)
    pad.reads(pad.call(0.5), LIMIT - 1350, 0.5)

    assert pad.estimator.lessons[1] == (400, 0, 300, "chat", 1, 400)


def test_a_span_over_two_endpoints_is_dropped() -> None:
    """Each charges by a rule of its own; a single call to the other one may be told."""
    pad = Pad()
    pad.reads(pad.call(0), LIMIT - 1000, 0)
    pad.call(0.3)
    pad.reads(pad.call(0.6, endpoint="embeddings"), LIMIT - 1100, 0.6)
    assert len(pad.taught()) == 1

    pad.reads(pad.call(0.9, endpoint="chat"), LIMIT - 1170, 0.9)
    assert pad.estimator.lessons[1:] == [(400, 0, 0, "chat", 1, 100)]
    pad.call(1.2, endpoint="embeddings")
    pad.reads(pad.call(1.5), LIMIT - 1200, 1.5)
    assert len(pad.taught()) == 2


def test_every_term_of_a_price_is_summed_up() -> None:
    """Characters, tools, the answers' most, what is exact, and the excess call by call: 3700 and none, not 3300."""
    pad = Pad()
    for at_s, features in [
        (0.0, Features(100, 50, fixed=3, endpoint="chat")),
        (0.3, Features(300, 1000, fixed=7, endpoint="chat", aside=8)),
        (0.6, Features(400, 0, fixed=5, endpoint="chat", aside=9)),
    ]:
        ticket = pad.asks(features, at_s)
        if at_s != 0.3:
            pad.reads(ticket, LIMIT - 1000 * (1 + at_s), at_s)

    assert pad.estimator.features[1:] == [Features(700, 1000, 12, "chat", excess=3700, aside=17)]


def test_a_call_on_the_heels_of_another_is_not_a_single_one() -> None:
    """Fifty milliseconds after a small one the bucket may be full again, or both may be in the same reading."""
    pad = Pad()
    pad.reads(pad.call(0), LIMIT - 1, 0)
    pad.reads(pad.call(0.05), LIMIT - 100, 0.05)
    assert pad.taught() == [(1, 1)]

    pad.reads(pad.call(2), LIMIT - 100, 2)
    assert pad.taught() == [(1, 1), (1, 100)]


def test_beside_a_stated_call_a_full_bucket_tells_nothing() -> None:
    """A stated call may have left just before the estimated one: whose charge is missing cannot be told."""
    pad = Pad()
    pad.reads(pad.call(0), LIMIT - 50, 0)
    pad.grant(500, 10)
    pad.reads(pad.call(100), LIMIT - 100, 100)

    assert pad.taught() == [(1, 50)]
    pad.reads(pad.call(200), LIMIT - 100, 200)
    assert pad.taught() == [(1, 50), (1, 100)]


@pytest.mark.parametrize(("chars", "counts"), [(27_968, True), (27_967, False)])
def test_a_stated_call_under_way_weighs_what_it_pays(chars: int, counts: bool) -> None:
    """A thousand tokens are four thousand characters: with them on the way the span has to be of 32 000."""
    pad = Pad()
    pad.reads(pad.call(0), LIMIT - 1000, 0)
    pad.grant(1000, 0.59)
    pad.reads(pad.call(0.6, chars=chars), LIMIT - 5000, 0.6)

    assert len(pad.taught()) == 1 + counts


@pytest.mark.parametrize(("chars", "counts"), [(192, True), (191, False)])
def test_a_call_without_a_text_weighs_a_little_by_itself(chars: int, counts: bool) -> None:
    """As much as 32 characters: with one of them on the way the span has to be of 256."""
    pad = Pad()
    pad.reads(pad.call(0), LIMIT - 1000, 0)
    pad.call(0.59, chars=0)
    pad.reads(pad.call(0.6, chars=chars), LIMIT - 1100, 0.6)

    assert len(pad.taught()) == 1 + counts


def test_what_is_as_old_as_the_jitter_has_arrived() -> None:
    """A tenth of a second after it the next call is sure of it; a nanosecond before that it is not."""
    for early_ns, unsure in [(0, 0), (1, 32)]:
        pad = Pad()
        pad.asks(Features(0), 0)
        pad.evidence.granted(2, Features(0), 1, JITTER - early_ns)
        last = Ticket(0, "m", "", 0, Cost(), Features(0), None, 0)
        last.order = 2
        mark = pad.evidence.mark(last, jitter_ns=JITTER)
        assert mark is not None
        assert mark.unsure == unsure


def test_as_many_calls_are_kept_as_may_be_under_way_and_the_sum_of_all() -> None:
    """An answer to one of long ago teaches nothing; one of which it is not sure what had arrived does neither."""
    pad = Pad()
    tickets = [pad.call(number) for number in range(1000)]
    assert 128 <= len(pad.evidence.calls) < 256

    assert pad.evidence.mark(tickets[0], jitter_ns=JITTER) is None
    pad.reads(tickets[0], LIMIT - 130, 1000)
    assert pad.taught() == []
    last = pad.evidence.mark(tickets[-1], jitter_ns=JITTER)
    assert last is not None
    assert (last.total.calls, last.before.calls, last.arrived.calls) == (1000, 999, 999)
    first = tickets[-len(pad.evidence.calls)]
    assert pad.evidence.mark(first, jitter_ns=S) is not None
    assert pad.evidence.mark(first, jitter_ns=S + 1) is None


def test_the_more_are_under_way_the_more_are_kept() -> None:
    """Four times as many; and all of the last second, which may overtake each other."""
    many = Pad(in_flight=1000)
    tickets = [many.call(number) for number in range(10_000)]
    assert many.evidence.mark(tickets[-4000], jitter_ns=JITTER) is not None

    quick = Pad()
    tickets = [quick.call(number / 5000) for number in range(10_000)]
    assert quick.evidence.mark(tickets[-4990], jitter_ns=0) is not None
    assert len(quick.evidence.calls) <= 10_000


@pytest.mark.parametrize(("at_s", "charged"), [(0.99, 49), (1.0, 50), (1.5, 50)])
def test_a_bucket_that_may_just_be_full_again_is_taken_for_full(at_s: float, charged: int) -> None:
    """A hundred missing are back after a second: from then on a lone call is held against the brim."""
    pad = Pad()
    pad.reads(pad.call(0), LIMIT - 100, 0)
    pad.reads(pad.call(at_s), LIMIT - 50, at_s)

    assert pad.taught()[1:] == [(1, charged)]


def test_a_snapshot_that_looks_older_than_the_one_before_brings_no_refill() -> None:
    """When a server looked is a guess; time does not flow backwards for it."""
    pad = Pad()
    pad.reads(pad.call(0), LIMIT - 1000, 1.0)
    pad.reads(pad.call(0.3), LIMIT - 1100, 0.9)

    assert pad.taught()[1:] == [(1, 100)]


def test_the_sum_over_several_calls_is_that_of_each_of_their_parts() -> None:
    """Two calls with pictures, tools and token ids, read together: nothing is left out, nothing taken off."""
    features = Features(300, 1000, fixed=7, endpoint="chat", aside=8, flat=85)
    total = Sum().plus(features).plus(features)

    assert total == Sum(600, 2000, 14, 2 * features.excess, 2, 1, "chat", 0, 16, 170)
    assert total.size - Sum().plus(features).size == Sum().plus(features).size


def test_a_stated_cost_is_noted_among_estimated_ones_and_nowhere_else() -> None:
    """Where nothing is estimated nobody asks what an estimate is worth."""
    drive = Drive(scheduler(slots=64), hold=True)
    calls = drive.machine.open_key("m", now_ns=0).evidence.calls
    drive.ask(tokens=70)
    assert calls == []

    one = drive.ask(features=Features(400))
    other = drive.ask(tokens=70)
    assert calls == [(one.order, 0, one.features), (other.order, 0, 70)]
