from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from ratelimit_client.core.windows import infer_window_s
from ratelimit_client.dialects import Dialect, lookup, names, read
from ratelimit_client.dialects.engine import conclude
from ratelimit_client.dialects.headers import Collected
from ratelimit_client.dialects.levels import _is_sure_to_be_a_minute
from ratelimit_client.dialects.ordinary import MOST_SHAPES, read_ordinary
from tests.dialects.samples import SAMPLES
from tests.dialects.test_fuzz import NAMES, raw_values

OPENAI = {
    "Date": "Mon, 05 Aug 2019 09:27:05 GMT",
    "x-request-id": "req_1",
    "openai-organization": "acme",
    "openai-processing-ms": "13",
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "498",
    "x-ratelimit-reset-requests": "240ms",
    "x-ratelimit-limit-tokens": "30000",
    "x-ratelimit-remaining-tokens": "29000",
    "x-ratelimit-reset-tokens": "2s",
}


class Odd(dict):  # type: ignore[type-arg]
    """A mapping one of whose names is no name."""

    def __iter__(self):
        return iter([["x-request-id"], *list(super().__iter__())[1:]])


LIST = [name for name in names() if name != "auto"]


def by_the_engine(table, status, headers):
    collected = Collected(table.vocabulary)
    collected.take(headers)
    return conclude(table, status, collected, None, None, None)


def fresh(name: str) -> Dialect:
    """A table that has seen nothing."""
    return attrs.evolve(lookup(name))


def test_a_name_that_is_a_list_is_out_of_the_ordinary():
    """It has no shape, and nothing raises."""
    assert read_ordinary(fresh("openai"), 200, Odd(OPENAI)) is None
    for dialect in ("openai", "auto"):
        assert read(200, Odd(OPENAI), dialect=dialect).request_id == "req_1"


def test_an_ordinary_answer_is_read_in_one_go():
    """Numbers, windows, names: all that the engine says, from a dict and from aiohttp's headers alike."""
    table = fresh("openai")
    for headers in (OPENAI, CIMultiDictProxy(CIMultiDict(OPENAI))):
        found = read_ordinary(table, 200, headers)
        assert found is not None
        assert found == by_the_engine(table, 200, headers)
        assert found.readings["requests"].window_s == 60.0
        assert (found.request_id, found.organization, found.processing_s) == ("req_1", "acme", 0.013)
    assert len(table.shapes) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"age": "3"},
        {"x-ratelimit-reset-requests": "1791072000"},
        {"x-ratelimit-reset-requests": ""},
        {"x-ratelimit-remaining-requests": "-1"},
        {"x-ratelimit-remaining-requests": "501"},
        {"x-ratelimit-limit-images": "5"},
        {"X-RateLimit-Limit-Requests": "5"},
        {"x-request-id": " req_1"},
        {"x-request-id": ["req_1", "req_2"]},
        {"openai-processing-ms": ""},
        {"request-id": "2", "x-request-id": ""},
        {"x-should-retry": "false"},
        {"RateLimit": '"a";r=1'},
    ],
    ids=str,
)
def test_what_is_out_of_the_ordinary_is_left_to_the_engine(change):
    """It says nothing rather than something else."""
    table, headers = fresh("openai"), {**OPENAI, **change}
    assert read_ordinary(table, 200, headers) is None
    assert read(200, headers, dialect=table) == by_the_engine(table, 200, headers)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_recorded_answers(sample):
    """Whatever it says of a recorded answer, taken for a success, the engine says."""
    for name in LIST:
        table = fresh(name)
        assert read_ordinary(table, 200, sample.headers) in (None, by_the_engine(table, 200, sample.headers))


@given(st.dictionaries(st.sampled_from(NAMES), raw_values, max_size=12), st.sampled_from(LIST))
def test_any_answer(headers, name):
    """Whatever headers there are."""
    table = fresh(name)
    for _ in range(2):
        assert read_ordinary(table, 204, headers) in (None, by_the_engine(table, 204, headers))


def test_it_remembers_so_many_shapes_and_no_more():
    """A server that spells its headers anew each time costs time, not memory."""
    table = fresh("generic")
    for number in range(2 * MOST_SHAPES):
        read(200, {f"x-{number}": "1", **OPENAI}, dialect=table)
    assert len(table.shapes) == MOST_SHAPES
    assert read(200, {"x-999": "1", **OPENAI}, dialect=table).readings.keys() == {"requests", "tokens"}
    assert read_ordinary(table, 200, {("a",): "1", **OPENAI}) is None


@pytest.mark.parametrize("pairs", [False, True], ids=["a multi-dict", "pairs"])
def test_a_name_that_is_repeated_moves_no_other_value(pairs):
    """Two cookies before the limits: each limit is read beside its own name all the same."""
    twice = CIMultiDict([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), *OPENAI.items()])
    headers = list(twice.items()) if pairs else CIMultiDictProxy(twice)
    for table in (fresh("openai"), "auto"):
        assert read(200, headers, dialect=table) == read(200, OPENAI, dialect=fresh("openai"))


def test_pairs_are_read_as_a_mapping_is():
    """Text and bytes, lists and what is read but once; a shape is learnt of each."""
    table = fresh("openai")
    raw = [(name.encode(), value.encode()) for name, value in OPENAI.items()]
    expected = by_the_engine(table, 200, OPENAI)
    for headers in ([*OPENAI.items()], tuple(OPENAI.items()), raw, [list(pair) for pair in raw]):
        assert read_ordinary(table, 200, headers) == expected
        assert read(200, iter(headers), dialect=table) == read(200, iter(headers)) == expected


@pytest.mark.parametrize(
    "headers",
    [
        [("x-request-id", "req_1", "more")],
        [("x-request-id", "req_1"), ("x-request-id",)],
        [("x-request-id", "req_1"), 5],
        [(b"x-request-id", "req_1")],
        [(b"x-request-id", b"req\n1")],
    ],
    ids=str,
)
def test_what_is_no_list_of_pairs_is_out_of_the_ordinary(headers):
    """Nor is a value with a line break; the engine sees what is to be made of it."""
    assert read_ordinary(fresh("openai"), 200, headers) is None
    read(200, headers, dialect="openai")


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 100_000_000))
def test_what_is_sure_to_be_a_minute_is_what_the_numbers_say(limit, used, reset_ms):
    """The short way never says it where the whole numbers do not."""
    for reset_s in (reset_ms / 1000, used * 60 / limit // 0.001 / 1000):
        remaining = max(0, limit - used)
        if _is_sure_to_be_a_minute(float(limit), float(remaining), reset_s):
            assert infer_window_s(limit, remaining, reset_s) == 60.0


def test_names_in_bytes_are_read_and_very_long_ones_not_remembered():
    """Each says what its text says; one of a kilobyte is nobody's, and takes no place in the table."""
    headers = [(name.encode(), value.encode()) for name, value in OPENAI.items()]
    long = (b"x-" + b"a" * 1000, b"1")
    openai = lookup("openai")
    expected = read(200, OPENAI, dialect=openai)
    for _ in range(2):
        assert read(200, [*headers, long], dialect=openai).readings == expected.readings
