"""Times as servers write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.dialects.durations import (
    Form,
    Unit,
    When,
    number_when,
    parse_duration,
    parse_instant,
    parse_number,
    parse_when,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS_OF = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": Fraction(1, 10**3), "us": Fraction(1, 10**6)}
SECONDS_OF |= {"\u00b5s": Fraction(1, 10**6), "\u03bcs": Fraction(1, 10**6), "ns": Fraction(1, 10**9)}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0.0),
        ("1s", 1.0),
        ("8.64s", 8.64),
        ("17ms", 0.017),
        ("120ms", 0.12),
        ("1m13.588s", 73.588),
        ("6m0s", 360.0),
        ("14m24s", 864.0),
        ("1h8m25.745s", 4_105.745),
        ("83h10m39.057s", 299_439.057),
        ("114h18m0s", 411_480.0),
        ("1d2h3m4.5s", 93_784.5),
        ("17.399999999s", 17.399999999),
        ("172.799999ms", 0.172799999),
        ("12us", 12e-6),
        ("12\u00b5s", 12e-6),
        ("12\u03bcs", 12e-6),
        ("5ns", 5e-9),
        (".5s", 0.5),
    ],
)
def test_go_durations(text, seconds):
    """Hours run beyond a day, ms is not m and s, and the fraction is exact."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "1",
        "-1s",
        "+1s",
        "1 s",
        "1.s",
        "1e3s",
        "1_0s",
        "NaN",
        "infs",
        "\u0661s",
        "1S",
        "1s!",
        "9" * 19 + "s",
        "1s" * 60,
    ],
)
def test_what_is_no_go_duration(text):
    """Signs, spaces, exponents, other digits, unknown units and endless ones are none."""
    assert parse_duration(text) is None


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**6),
            st.one_of(st.none(), st.text("0123456789", min_size=1, max_size=9)),
            st.sampled_from(sorted(SECONDS_OF)),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_durations_equal_a_slow_reference(terms):
    """Any sum of terms is the float nearest to the exact sum."""
    text = "".join(f"{whole}{'' if fraction is None else '.' + fraction}{unit}" for whole, fraction, unit in terms)
    exact = sum(Fraction(Decimal(f"{whole}.{fraction or 0}")) * SECONDS_OF[unit] for whole, fraction, unit in terms)
    assert parse_duration(text) == float(exact)


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0.0), ("499", 499.0), ("0.0", 0.0), ("3482.8264", 3482.8264), ("9" * 18, float("9" * 18))],
)
def test_numbers(text, number):
    """ASCII digits with an optional fraction."""
    assert parse_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 5",
        "-1",
        "+1",
        "1.",
        ".5",
        "1e3",
        "1_000",
        "nan",
        "inf",
        "\u0661\u0662",
        "\u00b2",
        "1,000",
        "9" * 19,
        "9" * 5000,
    ],
)
def test_what_is_no_number(text):
    """What Python's float would take, or choke on, is no number here."""
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("text", "form", "seconds"),
    [
        ("125.82", Form.NUMBER, 125.82),
        (" 59 ", Form.NUMBER, 59.0),
        ("999999999", Form.NUMBER, 999_999_999.0),
        ("1000000000", Form.INSTANT, 1e9),
        ("1734015073", Form.INSTANT, 1_734_015_073.0),
        ("1470173023.123", Form.INSTANT, 1_470_173_023.123),
        ("1791072000000", Form.INSTANT, 1_791_072_000.0),
        ("1791072000000000", Form.INSTANT, 1_791_072_000.0),
        ("179107200000000000", Form.INSTANT, 179_107_200.0),
        ("120ms", Form.DURATION, 0.12),
        ("2024-03-26T20:00:00Z", Form.INSTANT, 1_711_483_200.0),
        ("2024-03-26t22:30:00.25+02:30", Form.INSTANT, 1_711_483_200.25),
        ("2024-03-26 15:00:00-05:00", Form.INSTANT, 1_711_483_200.0),
        ("2024-03-26", Form.INSTANT, 1_711_411_200.0),
        ("Mon, 05 Aug 2019 09:27:05 GMT", Form.INSTANT, 1_564_997_225.0),
        ("Monday, 05-Aug-19 09:27:05 GMT", Form.INSTANT, 1_564_997_225.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Form.INSTANT, 784_111_777.0),
        ("Mon Aug  5 09:27:05 2019", Form.INSTANT, 1_564_997_225.0),
        ("Mon, 05 Aug 2019 09:27:05", Form.INSTANT, 1_564_997_225.0),
        ("Sat, 29 Feb 2020 23:59:60 GMT", Form.INSTANT, 1_583_020_800.0),
    ],
)
def test_the_form_of_a_time_tells_what_it_is(text, form, seconds):
    """Span or instant, by letters, by dashes, by a weekday, by size."""
    assert parse_when(text) == When(form, seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "-1s",
        "soon",
        "unlimited",
        "req_b176c7aa266e48aa8eff647b6b309bb8",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29",
        "2024-04-31",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:61Z",
        "Mon, 05 Foo 2019 09:27:05 GMT",
        "Mon Foo  5 09:27:05 2019",
        "Mon, 05 Aug 2019 09:27:05 PST",
        "\u0661\u0662",
        "1" * 500,
        "x" * 500,
    ],
)
def test_what_is_no_time(text):
    """Anything that is not by the rule is nothing, however long."""
    assert parse_when(text) is None


def test_a_dialect_may_say_what_a_number_counts():
    """The same digits are seconds, milliseconds, or an instant of either."""
    assert parse_when("500", Unit.SECONDS) == When(Form.NUMBER, 500.0)
    assert parse_when("500", Unit.MILLISECONDS) == When(Form.NUMBER, 0.5)
    assert number_when(1_734_015_073.0, Unit.EPOCH_SECONDS) == When(Form.INSTANT, 1_734_015_073.0)
    assert number_when(1_734_015_073_000.0, Unit.EPOCH_MILLISECONDS) == When(Form.INSTANT, 1_734_015_073.0)
    assert parse_when("500ms", Unit.SECONDS) == When(Form.DURATION, 0.5)


def test_an_instant_becomes_a_span_only_with_a_now():
    """A past instant is zero; without a now there is no span."""
    when = When(Form.INSTANT, 1_000.0)
    assert when.span_s(990.0) == 10.0
    assert when.span_s(1_010.0) == 0.0
    assert when.span_s(None) is None
    assert When(Form.DURATION, 7.0).span_s(None) == 7.0


@given(st.integers(0, 3_124_224_000))
def test_dates_equal_the_standard_library(seconds):
    """All three HTTP forms and RFC 3339 agree with the calendar of datetime, 1970 to 2068."""
    moment = EPOCH + timedelta(seconds=seconds)
    assert parse_instant(format_datetime(moment, usegmt=True)) == seconds
    assert parse_instant(moment.strftime("%A, %d-%b-%y %H:%M:%S GMT")) == seconds
    assert parse_instant(moment.strftime("%a %b %e %H:%M:%S %Y")) == seconds
    assert parse_instant(moment.isoformat()) == seconds


def test_instants_only():
    """A number is no date, and neither is a text longer than any date."""
    assert parse_instant("1734015073") is None
    assert parse_instant("Mon, 05 Aug 2019 09:27:05 GMT" + " " * 80) is None


@given(st.text(st.characters(codec="utf-8"), max_size=40) | st.from_regex(re.compile(r"[0-9.hmsundZT:+-]{1,40}")))
def test_no_text_makes_it_raise(text):
    """What comes out is nothing, or finite and not negative as a span."""
    when = parse_when(text)
    assert when is None or when.form is Form.INSTANT or 0 <= when.seconds < float("inf")
