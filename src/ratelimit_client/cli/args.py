"""
The command line: commands, flags and their help.

Law of this file: what is not there yet is not listed. Each command brings a table
of options and a function; a slip of the user's ends with 2 and one sentence.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import attrs

from .. import __version__
from ..errors import ConfigurationError
from .options import (
    Option,
    address,
    limit,
    one_of,
    pair,
    resolve,
    seconds,
    share,
    switch,
    text,
    whole,
)
from .voice import PROGRAM, Voice

_LIMIT: Final = Option(
    flag="--limit",
    metavar='[MODEL=]"500 requests/min"',
    read=limit,
    many=True,
    help="a limit of each model, or of MODEL; may be given more than once",
)
_LOG_FORMAT: Final = Option(
    flag="--log-format", metavar="text|json", read=one_of("text", "json"), default="text", help="form of messages"
)

RUN: Final = (
    Option(
        flag="--base-url",
        metavar="URL",
        read=text,
        help="where the API is (OPENAI_BASE_URL, https://api.openai.com/v1)",
    ),
    Option(flag="--query", metavar="NAME=VALUE", read=pair, many=True, help="a parameter of every request"),
    _LIMIT,
    Option(flag="--dialect", metavar="NAME", read=text, default="auto", help="how the server's headers are read"),
    Option(flag="--max-in-flight", metavar="N", read=whole(1, 100_000), help="calls under way at once (up to 2000)"),
    Option(
        flag="--max-attempts",
        metavar="N",
        read=whole(1, 1000),
        default=5,
        help="attempts of a row, refusals by a rate limit not counted (5)",
    ),
    Option(flag="--deadline", metavar="S", read=seconds, help="the longest a row may take once it is begun (no bound)"),
    Option(
        flag="--max-outage",
        metavar="S",
        read=seconds,
        default=3600.0,
        help="stop when the server has not answered for so long (1h)",
    ),
    Option(flag="--priority", metavar="N", read=whole(-2, 2), default=0, help="-2 to 2, lower first (0)"),
    Option(
        flag="--engine",
        metavar="local|ray",
        read=one_of("local", "ray"),
        default="local",
        help="who makes the calls: local is this process, the only one yet",
    ),
    Option(flag="--metrics", metavar="[HOST:]PORT", read=address, help="serve Prometheus metrics"),
    Option(
        flag="--progress",
        metavar="MODE",
        read=one_of("auto", "live", "plain", "json", "none"),
        default="auto",
        help="auto, live, plain, json or none (auto)",
    ),
    Option(flag="--summary-file", metavar="FILE", read=text, help="write the summary there as JSON"),
    Option(
        flag="--grace", metavar="S", read=seconds, default=25.0, help="how long calls under way may take to end (25)"
    ),
    Option(flag="--max-time", metavar="S", read=seconds, help="stop after so long, to be resumed"),
    Option(flag="--max-rows", metavar="N", read=whole(1), help="stop after so many rows, to be resumed"),
    Option(
        flag="--overwrite",
        read=switch,
        default=False,
        environment=False,
        help="begin anew: drop what OUT and its files hold",
    ),
    Option(
        flag="--rerun-edited",
        read=switch,
        default=False,
        environment=False,
        help="run finished rows again whose line in IN has changed",
    ),
    Option(flag="--allow-insecure", read=switch, default=False, help="let plain http leave this machine"),
    _LOG_FORMAT,
)

SIMULATE: Final = (
    Option(flag="--host", metavar="HOST", read=text, default="127.0.0.1", help="where to listen (127.0.0.1)"),
    Option(flag="--port", metavar="P", read=whole(0, 65535), default=8080, help="0 takes a free one (8080)"),
    _LIMIT,
    Option(
        flag="--enforcement",
        metavar="KIND",
        read=text,
        default="minute",
        help="how limits are held: minute, sliced:SECONDS or fixed:SECONDS (minute)",
    ),
    Option(flag="--latency", metavar="S", read=seconds, default=0.5, help="how long an answer takes (0.5)"),
    Option(flag="--refusal-latency", metavar="S", read=seconds, default=0.005, help="and a refusal (0.005)"),
    Option(flag="--api-key", metavar="KEY", read=text, many=True, environment=False, help="accept only these keys"),
    Option(flag="--model", metavar="NAME", read=text, many=True, help="know only these models"),
    Option(flag="--quota-after", metavar="N", read=whole(0), help="calls before the account has no money left"),
    Option(flag="--server-errors", metavar="SHARE", read=share, default=0.0, help="share of calls that end in a 500"),
    Option(flag="--no-headers", read=switch, default=False, help="send no rate-limit and no retry headers"),
    Option(flag="--free-refusals", read=switch, default=False, help="a refused call pays nothing"),
    Option(flag="--seed", metavar="N", read=whole(0), default=0, help="of all that is left to chance (0)"),
    _LOG_FORMAT,
)

DEMO: Final = (
    Option(
        flag="--progress",
        metavar="MODE",
        read=one_of("auto", "live", "plain", "json", "none"),
        default="auto",
        help="auto, live, plain, json or none (auto)",
    ),
    Option(flag="--out", metavar="FILE", read=text, help="where answers go (out/demo.jsonl of a checkout)"),
)


@attrs.frozen
class Request:
    """
    What the user asked for.

    Args:
        command: its name.
        options: values by name.
        argv: what was typed, for the command that resumes.
    """

    command: str
    options: Mapping[str, Any]
    argv: Sequence[str]


class _Slip(Exception):
    """The command line cannot be read."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        raise _Slip(f"{message} (see {self.prog} --help)")


def read_arguments(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Request:
    """
    What *argv* asks for; ``--help`` and ``--version`` print and raise SystemExit.

    Raises:
        ConfigurationError: it cannot be read, or a value is not what it has to be.
    """
    try:
        given = _parser().parse_args(list(argv))
    except _Slip as slip:
        raise ConfigurationError(str(slip)) from None
    values = resolve(_TABLES[given.command], given, os.environ if environment is None else environment)
    for name in ("input", "out_path"):
        if hasattr(given, name):
            values[name] = getattr(given, name)
    return Request(given.command, values, list(argv))


_TABLES: Final = {"run": RUN, "simulate": SIMULATE, "demo": DEMO}


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Runs files of API calls as fast as the rate limits allow.",
        epilog=f"{PROGRAM} COMMAND --help tells more.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    _add_run(commands)
    _add(commands, "simulate", SIMULATE, "serve a model server with true rate limits, to try things against")
    _add(commands, "demo", DEMO, "run the example job against a model server of its own")
    return parser


def _add(
    commands: Any, name: str, options: Sequence[Option], description: str, epilog: str | None = None
) -> argparse.ArgumentParser:
    sentence = description[0].upper() + description[1:] + "."
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=description, description=sentence, epilog=epilog, allow_abbrev=False
    )
    for option in options:
        option.add_to(parser)
    return parser


def _add_run(commands: Any) -> None:
    parser = _add(
        commands,
        "run",
        RUN,
        "answer every row of a file, and go on where the last run stopped",
        "Exit codes: 0 all rows ok, 1 some failed, 2 usage, 3 key or quota refused, 74 output not written, "
        "75 stopped at a bound and can go on, 130/143 stopped by a signal. Everything but the files can also be set "
        "in the environment: --max-in-flight as RATELIMIT_CLIENT_MAX_IN_FLIGHT.",
    )
    parser.add_argument("input", metavar="IN", help="rows in the form of the Batch API, one a line; '-' is stdin")
    parser.add_argument(
        "-o", "--output", dest="out_path", metavar="OUT", required=True, help="where answers go; '-' is stdout"
    )


def voice_for(request: Request) -> Voice:
    """How messages are to be said."""
    return Voice(as_json=request.options.get("log_format") == "json")
