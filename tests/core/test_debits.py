"""What was spent, and how much of it has surely arrived."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.debits import Debits
from ratelimit_client.core.units import NS as S

MS = S // 1000
J = 320 * MS  # a 32nd of it is 10 ms


def spend(debits: Debits, amount: int, *, jitter_ns: int, now_ns: int) -> int:
    """As a budget does it; the call's mark."""
    if now_ns >= debits.closes_ns:
        debits.begin_part(jitter_ns=jitter_ns, now_ns=now_ns)
    debits.last_ns = now_ns
    till = debits.till("tokens")
    till.total += amount
    return till.arrived + amount


def ledger(debits: Debits, *rows: tuple[int, int, int, int]) -> None:
    """Spend (at ms, amount) and compare the call's mark and the total after it."""
    for number, (at_ms, amount, mark, total) in enumerate(rows, start=1):
        assert mark == spend(debits, amount, jitter_ns=J, now_ns=at_ms * MS), f"row {number}"
        assert total == debits.till("tokens").total, f"row {number}"


def test_a_call_is_sure_of_itself_and_of_what_is_older_than_the_jitter() -> None:
    """Whatever left within the last 320 ms may still be on its way; the total counts all."""
    ledger(
        Debits(),
        (0, 10, 10, 10),
        (100, 1, 1, 11),
        (300, 1, 1, 12),
        (320, 1, 11, 13),  # the ten have arrived
        (420, 1, 12, 14),  # and the one of 100 ms
        (2000, 5, 19, 19),
    )


def test_calls_of_one_turn_are_sure_of_themselves_only() -> None:
    """Eight calls let out together overtake each other: none knows which of them came first."""
    ledger(Debits(), *((0, 3, 3, 3 * (number + 1)) for number in range(8)))


def test_debits_within_a_32nd_of_the_jitter_arrive_as_one() -> None:
    """The group arrives with its last member, and the one that comes after 10 ms begins another."""
    ledger(
        Debits(),
        (0, 1, 1, 1),
        (9, 1, 1, 2),
        (10, 1, 1, 3),
        (321, 1, 1, 4),  # the first is 321 ms old, but its companion only 312
        (331, 1, 4, 5),  # now both, and the one of 10 ms, too
    )


def test_without_jitter_nothing_is_unsure() -> None:
    """On one connection in order every debit has arrived before the next."""
    debits = Debits()

    assert [spend(debits, 2, jitter_ns=0, now_ns=7) for _ in range(4)] == [2, 4, 6, 8]


def test_a_thousand_calls_within_the_jitter_take_the_memory_of_thirty() -> None:
    """The debits still under way are kept in 32nds of the jitter, however many there are."""
    debits = Debits()
    for number in range(10_000):
        spend(debits, 1, jitter_ns=J, now_ns=number * J // 1000)

    assert len(debits._recent) <= 34
    assert debits.till("tokens").total == 10_000


GAPS = st.one_of(st.integers(0, 40), st.integers(0, 3200))


@given(
    calls=st.lists(st.tuples(GAPS, st.integers(0, 5)), min_size=1, max_size=60),
    jitter=st.sampled_from([0, 31, 320, 1000]),
)
def test_the_mark_is_never_too_large_and_lags_by_two_parts_at_most(
    calls: list[tuple[int, int]], jitter: int
) -> None:
    """Beside a list of all debits: no mark counts what may not have arrived, none forgets what is a 16th older."""
    debits, spent, now = Debits(), [], 0

    def older_than(age: int) -> int:
        return sum(amount for at, amount in spent if at <= now - age)

    for gap, amount in calls:
        now += gap
        mark = spend(debits, amount, jitter_ns=jitter, now_ns=now)
        assert older_than(jitter + 2 * (jitter // 32)) <= mark - amount <= older_than(jitter)
        spent.append((now, amount))
        assert debits.till("tokens").total == sum(amount for _, amount in spent)
