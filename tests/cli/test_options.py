"""What can be set, from where, and what it may be."""

from __future__ import annotations

import argparse

import pytest

from ratelimit_client.bulk.shards import Shard
from ratelimit_client.cli.args import read_arguments
from ratelimit_client.cli.options import (
    Option,
    address,
    limit,
    one_of,
    pair,
    part,
    quotas_by_model,
    resolve,
    seconds,
    share,
    switch,
    text,
    whole,
)
from ratelimit_client.cli.tables import COMMANDS
from ratelimit_client.core.quota import Quota, Quotas
from ratelimit_client.errors import ConfigurationError


@pytest.mark.parametrize(
    ("read", "good"),
    [
        (seconds, {"90": 90.0, "1.5": 1.5, "90s": 90.0, "15 m": 900.0, "8h": 28800.0, "1d": 86400.0}),
        (whole(1, 9), {"1": 1, "9": 9, " 5 ": 5}),
        (whole(-2, 2), {"-2": -2, "+1": 1}),
        (share, {"0": 0.0, "1": 1.0, "0.25": 0.25, ".5": 0.5, "1.0": 1.0}),
        (switch, {"1": True, "yes": True, "ON": True, "0": False, "false": False}),
        (pair, {"a=b": ("a", "b"), "a=b=c": ("a", "b=c"), "a=": ("a", "")}),
        (part, {"1/1": Shard(1, 1), "3/8": Shard(3, 8)}),
        (address, {"9464": "9464", "0.0.0.0:80": "0.0.0.0:80", "[::1]:80": "[::1]:80"}),
        (one_of("a", "b"), {"a": "a"}),
        (text, {"x": "x"}),
        (limit, {"5/s": ("*", Quota.parse("5/s")), "gpt-4o=5/s": ("gpt-4o", Quota.parse("5/s"))}),
    ],
)
def test_good_values(read: object, good: dict[str, object]) -> None:
    """
    As people write them.
    """
    assert callable(read)
    assert {value: read(value) for value in good} == good


@pytest.mark.parametrize(
    ("read", "bad"),
    [
        (seconds, ["", "x", "-1", "1e3", "nan", "inf", "1w", "١٢"]),
        (whole(1, 9), ["", "0", "10", "1.0", "1e0", "1_0", "x", "١", "9" * 5000]),
        (share, ["", "-0.1", "1.1", "x", "nan", "2"]),
        (switch, ["x", "2"]),
        (pair, ["", "a", "=b"]),
        (part, ["", "1", "0/1", "2/1", "1/0", "1/x"]),
        (address, ["", "x", "host:", "1:x", "65536", "-1"]),
        (one_of("a", "b"), ["", "c"]),
        (text, ["", "  "]),
        (limit, ["", "x", "=5/s", "gpt-4o=", "gpt-4o=fast"]),
    ],
)
def test_bad_values_are_told(read: object, bad: list[str]) -> None:
    """
    Each with a sentence.
    """
    assert callable(read)
    for value in bad:
        with pytest.raises(ValueError, match=r"\w+ \w+"):
            read(value)


def test_a_flag_counts_more_than_the_environment_and_that_more_than_the_default() -> None:
    """
    An empty variable is none; several values stand between semicolons.
    """
    one = Option(flag="--max-rows", metavar="N", read=whole(1), default=7, help="")
    many = Option(flag="--limit", metavar="L", read=limit, many=True, help="")
    switch_ = Option(flag="--fast", read=switch, default=False, help="")
    options = (one, many, switch_)

    def values(given: dict[str, object], environment: dict[str, str]) -> list[object]:
        return list(resolve(options, argparse.Namespace(**given), environment).values())

    every = {
        "RATELIMIT_CLIENT_MAX_ROWS": "2",
        "RATELIMIT_CLIENT_LIMIT": "5/s; a=1/s;",
        "RATELIMIT_CLIENT_FAST": "yes",
    }
    assert values({}, {}) == [7, None, False]
    assert values({}, dict.fromkeys(every, "")) == [7, None, False]
    assert values({}, every) == [2, [("*", Quota.parse("5/s")), ("a", Quota.parse("1/s"))], True]
    assert values({"max_rows": "3", "limit": ["2/s"], "fast": "1"}, every | {"RATELIMIT_CLIENT_FAST": "no"}) == [
        3,
        [("*", Quota.parse("2/s"))],
        True,
    ]
    with pytest.raises(ConfigurationError, match=r"^--max-rows: "):
        values({"max_rows": "x"}, every)
    with pytest.raises(ConfigurationError, match=r"^RATELIMIT_CLIENT_MAX_ROWS: "):
        values({}, {"RATELIMIT_CLIENT_MAX_ROWS": "x"})


def test_quotas_add_up_by_model() -> None:
    """
    ``*`` is the rest.
    """
    found = quotas_by_model([("*", Quota.parse("5/s")), ("a", Quota.parse("1/s")), ("*", Quota.parse("9/min"))])

    assert found == {
        "*": Quotas.of([Quota.parse("5/s"), Quota.parse("9/min")]),
        "a": Quotas.of([Quota.parse("1/s")]),
    }


@pytest.mark.parametrize(
    "option",
    [pytest.param(option, id=f"{name} {option.flag}") for name, of in COMMANDS.items() for option in of.options],
)
def test_every_option_says_what_it_does(option: Option) -> None:
    """
    In half a sentence; its default is a value its reader would give.
    """
    assert option.help
    assert len(option.help) < 100
    assert option.flag.startswith("--")
    assert (option.metavar is None) == (option.read is switch)


def test_what_was_typed_is_kept_for_the_command_that_resumes() -> None:
    """
    With the files as they were given.
    """
    argv = ["run", "in", "-o", "out", "--max-rows", "3"]
    request = read_arguments(argv, {})

    assert (request.command, request.argv) == ("run", argv)
    assert (request.options["input"], request.options["out_path"], request.options["max_rows"]) == ("in", "out", 3)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "required: COMMAND"),
        (["walk"], "invalid choice: 'walk'"),
        (["run"], "required: IN, -o/--output"),
        (["run", "in", "out"], "-o/--output"),
        (["run", "in", "-o", "out", "--max-row", "5"], "unrecognized arguments"),
        (["simulate", "--port", "99999"], "--port"),
        (["demo", "more"], "unrecognized arguments: more"),
    ],
)
def test_a_slip_is_one_sentence(argv: list[str], says: str) -> None:
    """
    And where help is.
    """
    with pytest.raises(ConfigurationError) as caught:
        read_arguments(argv, {})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
