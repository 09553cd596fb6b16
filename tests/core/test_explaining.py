"""Why a call waits, told by the machine that lets it wait."""

from __future__ import annotations

import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.explaining import Around, explain, explain_first
from ratelimit_client.core.failure import FailureKind, TransportFailure
from ratelimit_client.core.outage import FAILURES_TO_CLOSE
from ratelimit_client.core.quota import Quota, per_minute, per_second
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.statistics import Explanation
from ratelimit_client.core.together import groups_of
from ratelimit_client.core.units import NS as S
from ratelimit_client.errors import StoreUnavailable
from tests.core.asking_why import drive_of, first, why
from tests.core.test_leasing import Bench

# -- a call that may go, and one that never may ---------------------------------------


def test_nothing_keeps_back_a_call_of_an_unknown_key() -> None:
    """Nor one that would go now."""
    drive = drive_of(per_minute(requests=10))
    assert why(drive) == Explanation(True, 0.0, None, 0, "nothing is known of 'm' yet: the call can go now")
    drive.ask()
    assert why(drive) == Explanation(True, 0.0, None, 0, "the call can go now")


def test_an_unknown_key_is_explained_by_what_its_first_call_would_find() -> None:
    """Its own quota, those over all keys, the slots, the group it counts in; asking opens no key."""
    typed = {"small": per_minute(tokens=10), "*": per_minute(requests=10)}
    drive = drive_of(typed, shared=[Quota("tokens", 100)])
    assert str(why(drive, key="small", tokens=11)) == (
        "nothing is known of 'small' yet: needs 11 tokens; the bucket never holds more than 10 per 60 s, "
        "from config: split it or raise the quota, no wait helps"
    )
    drive.ask("other", tokens=99)
    assert str(why(drive, key="new", tokens=3)) == (
        "nothing is known of 'new' yet: waits 1.8 s: tokens hold 1 of 100 per 60 s (as typed) and the call needs 3, "
        "a limit over all keys"
    )
    for _ in range(3):
        drive.ask("other")
    assert why(drive, key="new").binding == "slots"
    assert list(drive.machine.keys) == ["other"]


def test_an_unknown_key_of_a_group_finds_what_the_others_left() -> None:
    """And does not join them by being asked about."""
    drive = drive_of(per_minute(requests=10))
    drive.machine.together = groups_of({"family": ["a", "b", "m"]})
    drive.ask("a", requests=9)
    drive.ask("b")
    assert str(why(drive)) == (
        "nothing is known of 'm' yet: waits 1.2 s: requests hold 1 of 10 per 60 s (as typed) and the call needs 1, "
        "with 1 in reserve for what others spend unseen; it counts together with 'a', 'b'"
    )
    assert {state.name for state in drive.machine.keys["a"].kin} == {"b"}
    drive.ask("family")
    drive.ask()
    assert "; it counts together with 'family', 'a' and 1 more; 1 call is ahead" in str(why(drive))


def test_a_cost_that_never_fits_is_explained() -> None:
    """No time is named, for none would help."""
    drive = drive_of(per_minute(tokens=1000))
    drive.ask()
    never = why(drive, tokens=1001)

    assert (never.admissible, never.ready_in_s, never.binding, never.ahead) == (False, None, "tokens", 0)
    assert str(never) == (
        "needs 1,001 tokens; the bucket never holds more than 1,000 per 60 s, from config: "
        "split it or raise the quota, no wait helps"
    )


def test_a_call_larger_than_an_uncertain_limit_can_go_when_the_bucket_is_full() -> None:
    """The limit was shown once, which is not certain enough to say never."""
    drive = drive_of()
    drive.end(drive.ask(tokens=1), Signals(200, readings={"tokens": Reading(600, 0, window_s=60.0)}))
    large = why(drive, tokens=1000)

    assert (large.admissible, large.ready_in_s, large.ahead) == (False, pytest.approx(60.0), 0)


# -- what is no budget ----------------------------------------------------------------


def test_a_server_that_does_not_answer_is_told_with_its_probes() -> None:
    """Since when, what failed, how many have asked, and when the next one may."""
    drive = drive_of()
    for _ in range(FAILURES_TO_CLOSE):
        drive.machine.failed(drive.ask(), TransportFailure(kind=FailureKind.TIMEOUT), now_ns=0)
    drive.to(0.5)
    assert str(why(drive)) == (
        "waits 0.5 s: the server has not answered for 0.5 s (10 failures in a row); one call probes at a time, "
        "and the first answer lets all go; 6 calls are ahead"
    )
    drive.end(drive.log[0][1], None, Ending.IGNORED)
    drive.to(1.5)
    assert "one call probes at a time, 1 so far, and the first" in str(why(drive))


def test_who_comes_when_a_probe_is_due_is_the_probe() -> None:
    """It can go, and is told what for."""
    drive = drive_of()
    ticket = drive.ask()
    for _ in range(FAILURES_TO_CLOSE):
        drive.machine.failed(ticket, TransportFailure(kind=FailureKind.TIMEOUT), now_ns=0)
    assert why(drive).binding == "outage"
    drive.to(1)
    assert str(why(drive)) == "the call can go now, and asks a server that does not answer"


def test_the_ramp_and_the_slots_are_told_with_their_numbers() -> None:
    """Of the one is known when it widens, of the other only that something has to come back."""
    ramping = drive_of(slots=100)
    for _ in range(4):
        ramping.ask()
    assert str(why(ramping)) == "waits 0.2 s: 4 calls are under way and the window is 4: it widens as answers come"

    full = drive_of(slots=4)
    for key in "mmno":
        full.ask(key)
    assert str(why(full)) == (
        "waits until something comes back: 4 calls are under way over all keys, and max_in_flight is no more"
    )
    full.ask()
    assert str(why(full)).endswith("; 1 call is ahead")


def test_a_window_that_was_cut_says_why() -> None:
    """The server had too much to do."""
    drive = drive_of(slots=100)
    for _ in range(6):
        drive.end(drive.ask(), Signals(503, Reason.SERVER_ERROR, True), Ending.DROPPED)
    while drive.machine.keys["m"].queue.waiting == 0:
        drive.ask()
    assert "the server had too much to do, so it widens slowly" in str(why(drive))


# -- the queue ------------------------------------------------------------------------


def test_who_would_fit_may_still_have_to_queue() -> None:
    """Others are first."""
    drive = drive_of(per_second(requests=10, tokens=1000))
    drive.ask(tokens=900)
    drive.ask(tokens=900)
    light = why(drive, tokens=0)

    assert (light.admissible, light.binding, light.ahead) == (False, "queue", 1)
    assert "others are first; 1 call is ahead" in str(light)


def test_those_ahead_are_told_by_priority_and_tenant() -> None:
    """Better ones go first; tenants of one priority take turns."""
    drive = drive_of(per_second(requests=100, tokens=1000))
    drive.ask(tokens=1000)
    for tenant in "aabc":
        drive.ask(tokens=500, tenant=tenant)
    drive.ask(tokens=500, priority=-1)
    drive.ask(tokens=500, priority=1)

    said = str(why(drive, tokens=500))
    assert said.endswith("; 5 calls are ahead, 1 of a better priority, of 3 tenants that take turns")
    assert str(why(drive, priority=-1, tokens=500)).endswith("; 1 call is ahead")
    assert str(why(drive, priority=2, tokens=500)).endswith("; 6 calls are ahead, 6 of a better priority")


def test_a_full_queue_is_told() -> None:
    """Who has to wait would be turned away."""
    drive = drive_of(per_minute(requests=1), max_queue=1)
    drive.ask()
    assert "turned away" not in str(why(drive))
    drive.ask()
    assert str(why(drive)).endswith(
        "; 1 call is ahead; the queue is full (max_queue is 1), so that this one would be turned away"
    )


def test_the_first_in_line_says_what_all_wait_for() -> None:
    """With what it has waited, and its deadline; nobody waits in a key that is empty or unknown."""
    drive = drive_of(per_second(requests=100, tokens=1000))
    assert explain_first(drive.machine, "m", now_ns=0) is None
    drive.ask(tokens=900)
    assert explain_first(drive.machine, "m", now_ns=0) is None
    drive.ask(tokens=600, deadline_ns=8 * S)
    drive.now_ns = S // 4
    said = first(drive)
    assert (said.admissible, said.binding, said.ahead) == (False, "tokens", 0)
    assert str(said) == (
        "waits 0.3 s: tokens hold 350 of 1,000 per 1 s (as typed) and the call needs 600; it has waited 0.2 s, "
        "its deadline is in 7.8 s"
    )
    drive.now_ns = S
    assert first(drive) == Explanation(
        True, 0.0, None, 0, "goes with the next turn; it has waited 1.0 s, its deadline is in 7.0 s"
    )


def test_the_first_in_line_is_the_one_whose_turn_it_is() -> None:
    """By priority, then by the tenant whose turn it is, then by age; one that was sent back keeps its place."""
    drive = drive_of(per_second(requests=100, tokens=1000))
    back = drive.ask(tokens=200, tenant="b")
    drive.ask(tokens=790, tenant="a")
    drive.end(back, None, Ending.IGNORED)
    drive.machine.requeue(back, not_before_ns=S // 1000, now_ns=0)
    for cost, tenant, priority in [(300, "a", 1), (400, "b", 0), (500, "c", 0), (600, "a", -1)]:
        drive.ask(tokens=cost, tenant=tenant, priority=priority, polled=False)
    queue = drive.machine.keys["m"].queue
    found = []
    while queue.ready:
        ticket = queue.first()
        assert ticket is not None
        found.append(ticket.amount("tokens"))
        assert f"the call needs {ticket.amount('tokens')};" in str(first(drive))
        drive.machine.cancel(ticket, now_ns=drive.now_ns)
        queue.wake(now_ns=S // 1000)
    assert sorted(found) == [200, 300, 400, 500, 600]
    assert found[0] == 600


def test_the_first_in_line_may_wait_for_a_slot() -> None:
    """Then nobody knows when."""
    drive = drive_of(slots=1)
    drive.ask("n")
    drive.ask()
    assert (first(drive).binding, first(drive).ready_in_s) == ("slots", None)
    assert str(first(drive)).startswith("waits until something comes back: 1 calls are")


def test_calls_that_were_sent_back_rest() -> None:
    """One that comes now is not behind them."""
    drive = drive_of(per_minute(requests=10))
    for number in range(2):
        ticket = drive.ask()
        drive.end(ticket, Signals(503), Ending.IGNORED)
        drive.machine.requeue(ticket, not_before_ns=(9 - number) * S, now_ns=0)
        who = "the call that waits was" if number == 0 else "all 2 calls that wait were"
        rest = f"{who} refused or failed before; so long is the rest before it is tried again"
        assert first(drive) == Explanation(False, 9.0 - number, "backoff", 0, f"waits {9 - number}.0 s: {rest}")
    assert why(drive).admissible


def test_retries_that_are_used_up_are_told() -> None:
    """What fails now is not tried again at once; where nobody retries there is nothing to tell."""
    drive = drive_of(per_minute(requests=10))
    drive.ask()
    drive.machine.keys["m"].retries.retries = 10

    def said(share: float | None) -> str:
        return str(explain(drive.machine, "m", Cost(), around=Around(retry_share=share), now_ns=6 * S))

    assert said(None) == said(0.0) == said(1.0) == "the call can go now"
    assert said(0.2) == (
        "the call can go now; what fails now is not tried again at once: retries of the last minutes have reached 10 "
        "and 20% of the calls, which is looked at anew in 54.0 s"
    )


def test_a_start_that_is_spread_is_told() -> None:
    """It would go; where a limit is in the way, that is told."""
    drive = drive_of(per_minute(requests=10))
    drive.ask()

    def said(requests: int) -> Explanation:
        return explain(drive.machine, "m", Cost(requests), around=Around(paced=4.0), now_ns=0)

    spread = "waits 0.25 s or more: pacing lets 4 calls start a second, one after the other"
    assert said(1) == Explanation(False, 0.25, "pacing", 0, spread)
    assert said(10).binding == "requests"


# -- the end, and a store -------------------------------------------------------------


def test_a_limiter_that_ends_takes_nobody() -> None:
    """It drains, with what it has left; then it is closed."""
    drive = drive_of(per_minute(requests=1))
    drive.ask()
    drive.ask()
    draining = explain(drive.machine, "m", Cost(), around=Around(draining=True), now_ns=0)
    assert (draining.admissible, draining.ready_in_s, draining.binding) == (False, None, "draining")
    assert str(draining) == (
        "the limiter ends what it has (1 queued and 1 under way) and takes no further calls: no wait helps"
    )
    drive.machine.close(now_ns=0)
    assert why(drive) == Explanation(
        False, None, "closed", 0, "the limiter is closed, and no call goes any more: make a new one; no wait helps"
    )


def test_what_a_store_lends_is_told() -> None:
    """It is asked first; then what was lent binds, and of how many; while it is lost, since when."""
    bench = Bench()

    def said(requests: int = 1) -> Explanation:
        return explain(bench.machine, "m", Cost(requests), now_ns=bench.now_ns)

    asked = "waits 0.2 s: the store of the shared budget is asked first, and waited for 0.25 s at most"
    assert str(said()) == f"nothing is known of 'm' yet: {asked}"
    bench.submit()
    assert (said().binding, str(said())) == ("store", f"{asked}; 1 call is ahead")
    bench.renew()
    bench.machine.poll(now_ns=bench.now_ns)
    assert str(said(30)) == (
        "waits 0.1 s: 2 requests are lent to this process and the call needs 30: 60 per 60 s are shared by 1 process "
        "through the store"
    )


@pytest.mark.parametrize(
    ("spends", "then"), [(True, "it goes on with its part, less and less"), (False, "nothing goes until it is back")]
)
def test_a_store_that_is_lost_is_told(spends: bool, then: str) -> None:
    """Since when, and what becomes of the calls."""
    bench = Bench(spends=spends)
    bench.submit()
    bench.renew()
    bench.later(1.0)
    bench.machine.store_failed(bench.ask(), now_ns=bench.now_ns)
    bench.later(5.0)
    text = str(explain(bench.machine, "m", Cost(50), now_ns=bench.now_ns))
    assert text.endswith(f" through the store, which has not been reached for 5.0 s: {then}")


def test_a_store_that_cannot_be_used_is_told() -> None:
    """Every call fails, and why."""
    bench = Bench()
    bench.machine.refused = StoreUnavailable("the script is of another version")
    assert str(explain(bench.machine, "m", Cost(), now_ns=bench.now_ns)) == (
        "the store of the shared budget cannot be used: the script is of another version; no wait helps"
    )
