from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ratelimit_client.core.quota import Quota, Quotas, per_day, per_hour, per_minute, per_second
from ratelimit_client.core.units import MAX_AMOUNT, NS, unit_name
from ratelimit_client.errors import InvalidQuota

MINUTE, HOUR, DAY = 60 * NS, 3600 * NS, 86_400 * NS

units = st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True).map(unit_name)
quotas = st.builds(
    Quota.from_ns,
    unit=units,
    amount=st.integers(1, MAX_AMOUNT),
    window_ns=st.one_of(st.sampled_from([NS, MINUTE, HOUR, DAY]), st.integers(NS // 1000, 3660 * DAY)),
)


@pytest.mark.parametrize(
    ("text", "unit", "amount", "window_ns"),
    [
        ("500 requests/min", "requests", 500, MINUTE),
        ("200k tokens/min", "tokens", 200_000, MINUTE),
        ("1/s", "requests", 1, NS),
        ("10 per hour", "requests", 10, HOUR),
        ("1.5M tokens per minute", "tokens", 1_500_000, MINUTE),
        ("2b tokens/day", "tokens", 2_000_000_000, DAY),
        ("10_000 rpd", "requests", 10_000, DAY),
        ("10,000 requests / day", "requests", 10_000, DAY),
        ("3 requests per 10 s", "requests", 3, 10 * NS),
        ("3 requests/10s", "requests", 3, 10 * NS),
        ("1 request every 2.5 seconds", "requests", 1, 5 * NS // 2),
        ("500 RPM", "requests", 500, MINUTE),
        ("200k TPM", "tokens", 200_000, MINUTE),
        ("5rps", "requests", 5, NS),
        ("50 ipm", "images", 50, MINUTE),
        ("1M tph", "tokens", 1_000_000, HOUR),
        ("  60   a  minute ", "requests", 60, MINUTE),
        ("4 tokens in 250 ms", "tokens", 4, NS // 4),
        ("7 project-tokens per week", "project-tokens", 7, 7 * DAY),
        ("1 requests each 1.5 h", "requests", 1, 5400 * NS),
        ("10k/s", "requests", 10_000, NS),
        ("10 k/s", "k", 10, NS),
        ("5 per/min", "per", 5, MINUTE),
        ("5 per per min", "per", 5, MINUTE),
    ],
)
def test_what_people_write(text: str, unit: str, amount: int, window_ns: int) -> None:
    """A quota is read the way it is said."""
    quota = Quota.parse(text)

    assert (quota.unit, quota.amount, quota.window_ns) == (unit, amount, window_ns)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "cannot read '' as a quota"),
        ("fast", "cannot read 'fast' as a quota"),
        ("500", "cannot read '500' as a quota"),
        ("-5/s", "cannot read '-5/s'"),
        ("1e3/s", "cannot read"),
        ("١٢/s", "cannot read"),
        ("10 requests/month", "a window \\(s, min, hour, day, week"),
        ("5 rpx", "Examples: '500 requests/min'"),
        ("9" * 500 + "/s", r"cannot read '9{56}\.\.\. as a quota"),
        ("1.5 requests/min", "1.5 in '1.5 requests/min' makes no whole number"),
        ("1/0.0000000001 s", "makes no whole number"),
        ("1.0001k tokens/min", "1.0001 in '1.0001k tokens/min' makes no whole number"),
        ("1.5rpm", "1.5 in '1.5rpm' makes no whole number"),
        ("0/s", "a quota of 0 requests is none: give a whole number from 1 to 1,000,000,000,000,000"),
        ("10000000g tokens/s", "a quota of 10000000000000000 tokens is none"),
        ("1/0 s", "a window of 0 s is outside"),
        ("1/999999 days", "to ten years"),
    ],
)
def test_what_cannot_be_read_is_explained(text: str, complaint: str) -> None:
    """The message shows what was read and says what is allowed."""
    with pytest.raises(InvalidQuota, match=complaint):
        Quota.parse(text)


@given(quotas)
@example(Quota("per", 1, 60.0))
@example(Quota("k", 10**15, 0.001))
@example(Quota("a", 1, 86400.0 * 3660))
def test_a_quota_reads_back_what_it_writes(quota: Quota) -> None:
    """Text, repr and pickle lose nothing, to the nanosecond."""
    assert Quota.parse(str(quota)) == quota
    assert eval(repr(quota)) == quota
    assert pickle.loads(pickle.dumps(quota)) == quota


@given(st.text(max_size=40))
def test_any_text_is_a_quota_or_an_explained_mistake(text: str) -> None:
    """No text leads to another error."""
    try:
        quota = Quota.parse(text)
    except InvalidQuota:
        return
    assert Quota.parse(str(quota)) == quota


def test_a_quota_is_typed_in_seconds_and_kept_in_nanoseconds() -> None:
    """The window is a minute unless it is said; a float that holds a whole number is an amount."""
    quota = Quota("tokens", 2e5)  # type: ignore[arg-type]

    assert quota == Quota("token", 200_000, 60) == Quota("tokens", 200_000, window_s=60.0)
    assert (quota.window_ns, quota.window_s) == (MINUTE, 60.0)
    assert len({quota, Quota("tokens", 200_000)}) == 1
    assert type(quota.amount) is int
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        quota.amount = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (("tokens", 0), "a quota of 0 tokens is none"),
        (("tokens", -5), "a quota of -5 tokens"),
        (("tokens", 1.5), "a quota of 1.5 tokens"),
        (("tokens", True), "a quota of True tokens"),
        (("tokens", "5"), "a quota of '5' tokens"),
        (("tokens", "5" * 100), r"a quota of '5{56}\.\.\. tokens"),
        (("tokens", MAX_AMOUNT + 1), "from 1 to 1,000,000,000,000,000"),
        (("To kens", 5), "'To kens' is no name of a unit"),
        ((5, 5), "expected string"),
        (("tokens", 5, 0), "a window of 0 s is outside"),
        (("tokens", 5, -60), "a window of -60 s"),
        (("tokens", 5, 1e12), "a window of 1e\\+12 s"),
        (("tokens", 5, float("nan")), "nan is no window of a quota: give seconds"),
        (("tokens", 5, "60"), "'60' is no window of a quota"),
    ],
)
def test_a_quota_that_cannot_be_is_refused(fields: tuple[Any, ...], complaint: str) -> None:
    """Each part says what is wrong with it; the error is a ValueError too."""
    with pytest.raises(InvalidQuota, match=complaint) as caught:
        Quota(*fields)
    assert isinstance(caught.value, ValueError)


def test_quotas_add() -> None:
    """One and one, one and many, many and one, and a sum of any."""
    a, b, c = Quota("requests", 500), Quota("tokens", 9), Quota("requests", 10, 86_400)
    ab, bc = Quotas([a, b]), Quotas([b, c])
    listed, pair = [a], (a, b)

    for added in (a + b + c, a + bc, ab + c, ab + bc, sum([a, b, c]), ab + [c], listed + bc, pair + c):  # noqa: RUF005 - + is what is tested
        assert isinstance(added, Quotas)
        assert list(added) == [a, b, c]
    assert per_minute(requests=500, tokens=9) + per_day(requests=10) == Quotas((a, b, c))
    assert str(a + b) == "500 requests/min + 9 tokens/min"
    assert repr(a + c) == "<Quotas 500 requests/min + 10 requests/day>"
    assert repr(Quotas()) == "<Quotas no quotas>"


@pytest.mark.parametrize("other", [1, None, object()])
def test_only_quotas_add_to_quotas(other: Any) -> None:
    """Anything else is Python's usual TypeError."""
    quota = Quota("requests", 5)

    for add in (
        lambda: quota + other,
        lambda: other + quota,
        lambda: Quotas([quota]) + other,
        lambda: other + Quotas([quota]),
    ):
        with pytest.raises(TypeError):
            add()


def test_the_four_windows() -> None:
    """Each function names its window."""
    assert list(per_second(requests=5)) == [Quota("requests", 5, 1)]
    assert list(per_minute(requests=5)) == [Quota("requests", 5, 60)]
    assert list(per_hour(requests=5)) == [Quota("requests", 5, 3600)]
    assert list(per_day(requests=5)) == [Quota("requests", 5, 86_400)]
    with pytest.raises(InvalidQuota):
        per_minute(tokens=0)


def test_two_amounts_for_one_window_contradict_each_other() -> None:
    """The same quota twice is once; two amounts are a mistake that names both."""
    assert list(per_minute(requests=5) + per_minute(requests=5)) == [Quota("requests", 5)]
    with pytest.raises(InvalidQuota, match="5 requests/min and 6 requests/min contradict"):
        per_minute(requests=5) + Quota("requests", 6)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, []),
        ((), []),
        (Quota("requests", 5), ["5 requests/min"]),
        ("5 rpm", ["5 requests/min"]),
        (["5 rpm", Quota("tokens", 6)], ["5 requests/min", "6 tokens/min"]),
        (per_second(requests=1), ["1 requests/s"]),
    ],
)
def test_what_a_caller_may_give_for_quotas(value: Any, expected: list[str]) -> None:
    """One, many, as text, or none."""
    assert [str(quota) for quota in Quotas.of(value)] == expected


@pytest.mark.parametrize(
    ("window_s", "text"), [(0.5, "7 x/0.5 s"), (90, "7 x/90 s"), (1.000000001, "7 x/1.000000001 s")]
)
def test_a_window_is_written_as_short_as_it_is(window_s: float, text: str) -> None:
    """No noughts at the end."""
    assert str(Quota("x", 7, window_s)) == text
