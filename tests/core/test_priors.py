"""Limits remembered from an earlier run: a guess until the server speaks."""

from __future__ import annotations

from ratelimit_client.core import views
from ratelimit_client.core.budget import Budget
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.priors import expect
from ratelimit_client.core.quota import Quota, Quotas, per_day, per_minute
from ratelimit_client.core.scheduler import Scheduler
from ratelimit_client.core.signals import Reading, Signals
from ratelimit_client.core.ticket import State
from ratelimit_client.core.units import NS as S
from tests.core.driving import OPENAI


def scheduler(*quotas: Quota) -> Scheduler:
    return Scheduler(quotas=Quotas(quotas), profile=OPENAI, max_in_flight=100, dice=lambda: 0.5, now_ns=0)


def limits(machine: Scheduler, *, now_ns: int = 0) -> dict[str, tuple[int, str]]:
    """Limit and source of every bucket of the key."""
    found = views.key_statistics(machine.keys["m"], now_ns=now_ns).buckets
    return {name: (bucket.limit, bucket.source) for name, bucket in found.items()}


def budget(machine: Scheduler) -> Budget:
    return machine.keys["m"].budget


def answer(machine: Scheduler, *, now_ns: int, **readings: Reading) -> None:
    """One call whose answer shows these."""
    ticket = machine.submit("m", cost=Cost(1, tokens=1), now_ns=now_ns)
    assert ticket.state is State.GRANTED
    machine.observe(ticket, Signals(200, readings=readings), now_ns=now_ns)


def test_a_prior_bounds_the_first_calls() -> None:
    """
    Three a minute were known, a hundredth of which is kept back: the third call waits, and nothing says "never".
    """
    machine = scheduler()
    expect(machine, "m", per_minute(requests=3, tokens=1000), now_ns=0)

    states = [machine.submit("m", cost=Cost(1, tokens=1), now_ns=0).state for _ in range(4)]

    assert states == [State.GRANTED] * 2 + [State.QUEUED] * 2
    assert limits(machine) == {"requests": (3, "prior"), "tokens": (1000, "prior")}
    assert machine.submit("m", cost=Cost(1, tokens=5000), now_ns=0).state is State.QUEUED


def test_the_first_reading_takes_its_place() -> None:
    """
    Whether it shows more or less; a dimension that it does not speak of stays expected.
    """
    machine = scheduler()
    expect(machine, "m", per_minute(requests=3, tokens=1000) + per_day(requests=50), now_ns=0)

    answer(machine, now_ns=S, requests=Reading(500, 499, 0.1, None))
    assert limits(machine) == {"requests": (500, "header"), "tokens": (1000, "prior")}

    answer(machine, now_ns=2 * S, tokens=Reading(200, 100, 1.0, None))
    assert limits(machine) == {"requests": (500, "header"), "tokens": (200, "header")}
    assert budget(machine).priors == set()


def test_a_reading_without_a_limit_leaves_it() -> None:
    """
    It corrects the level and proves no limit.
    """
    machine = scheduler()
    expect(machine, "m", per_minute(requests=30), now_ns=0)

    answer(machine, now_ns=0, requests=Reading(None, 5, None, None))

    assert limits(machine) == {"requests": (30, "prior")}


def test_a_prior_touches_nothing_that_is_known() -> None:
    """
    Neither a quota that was typed nor a limit that a server showed; and it is no ceiling.
    """
    machine = scheduler(Quota("requests", 10))
    expect(machine, "m", per_minute(requests=3), now_ns=0)
    assert limits(machine) == {"requests": (10, "config")}

    answer(machine, now_ns=0, tokens=Reading(900, 899, 0.1, None))
    expect(machine, "m", per_minute(tokens=5), now_ns=0)
    assert limits(machine) == {"requests": (10, "config"), "tokens": (900, "header")}


def test_quotas_that_are_typed_later_take_its_place() -> None:
    """
    Also when the server speaks of it after that.
    """
    machine = scheduler()
    expect(machine, "m", per_minute(requests=3), now_ns=0)
    machine.set_quotas(per_minute(requests=20), now_ns=0)

    answer(machine, now_ns=0, requests=Reading(40, 39, 1.5, None))

    assert limits(machine) == {"requests": (20, "config")}


def test_a_dimension_of_which_more_is_known_keeps_the_others_from_nothing() -> None:
    """Requests are typed; what was known of tokens, and comes after them, is expected all the same."""
    machine = scheduler(*per_minute(requests=5))
    expect(machine, "m", per_minute(requests=3, tokens=1000), now_ns=0)

    assert limits(machine) == {"requests": (5, "config"), "tokens": (1000, "prior")}
