"""
The options of each command.

Law of this file: tables only. What stands here is the help, the variable, the
check and the default of an option at once; nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from ..runtime.secret import mask
from .counter import CHARACTERS, TIKTOKEN
from .options import (
    Option,
    address,
    at_least,
    limit,
    one_of,
    pair,
    pair_shown,
    part,
    seconds,
    share,
    switch,
    text,
    url_shown,
    whole,
)

if TYPE_CHECKING:
    from ..bulk.retry import Codes


def _codes(value: str) -> Codes:
    from ..bulk.retry import Codes  # and with it files and asyncio, which --help never needs

    return Codes.read(value)


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

_BASE_URL: Final = Option(
    flag="--base-url",
    metavar="URL",
    read=text,
    help="where the API is (OPENAI_BASE_URL, https://api.openai.com/v1)",
    shown=url_shown,
)
_QUERY: Final = Option(
    flag="--query",
    metavar="NAME=VALUE",
    read=pair,
    many=True,
    help="a parameter of every request",
    shown=pair_shown,
)
_DIALECT: Final = Option(
    flag="--dialect", metavar="NAME", read=text, default="auto", help="how the server's headers are read"
)
_ALLOW_INSECURE: Final = Option(
    flag="--allow-insecure", read=switch, default=False, help="let plain http leave this machine"
)
_STATE: Final = Option(
    flag="--state", metavar="FILE", read=text, help="begin with the limits that a run of the last 24 h learnt"
)

_COUNTER: Final = Option(
    flag="--counter",
    metavar="characters|tiktoken",
    read=one_of(CHARACTERS, TIKTOKEN),
    default=CHARACTERS,
    help="what the tokens of a text are estimated by: a quarter of its characters, or tiktoken (characters)",
)

_STORE: Final = (
    Option(
        flag="--store",
        metavar="URL",
        read=text,
        help="share the limits with other processes through a Redis or Valkey: redis://HOST:PORT/0 (extra: redis)",
        shown=url_shown,
    ),
    Option(
        flag="--store-name",
        metavar="NAME",
        read=text,
        help="what they are shared under (host, organization and project)",
    ),
    Option(
        flag="--on-store-failure",
        metavar="share|stop",
        read=one_of("share", "stop"),
        default="share",
        help="without the store go on with this process's part of the limits, or send nothing (share)",
    ),
)

RUN: Final = (
    _BASE_URL,
    _QUERY,
    _LIMIT,
    _DIALECT,
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
    _COUNTER,
    _STATE,
    *_STORE,
    Option(
        flag="--shard",
        metavar="I/N",
        read=part,
        help="only the rows of part I of N, by their custom_id; answers go to OUT.I-of-N",
    ),
    Option(
        flag="--engine",
        metavar="local|ray",
        read=one_of("local", "ray"),
        default="local",
        help="who makes the calls: this process, or workers of a Ray cluster, whose answers are in shards of OUT",
    ),
    Option(
        flag="--ray-address",
        metavar="HOST:PORT",
        read=text,
        help="the head of the cluster (RAY_ADDRESS, the cluster this machine is in, one of this machine alone)",
    ),
    Option(flag="--ray-workers", metavar="N", read=whole(1, 10_000), help="how many (one a node, two at least)"),
    Option(flag="--metrics", metavar="[HOST:]PORT", read=address, help="serve Prometheus metrics and a live page"),
    Option(
        flag="--progress",
        metavar="MODE",
        read=one_of("auto", "live", "plain", "json", "none"),
        default="auto",
        help="auto, live, plain, json or none (auto)",
    ),
    Option(flag="--summary-file", metavar="FILE", read=text, help="write the summary there as JSON"),
    Option(flag="--report", metavar="FILE", read=text, help="write it there as a page with plots, for a browser"),
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
        help="run finished rows again whose line in IN has changed",
    ),
    Option(
        flag="--dry-run", read=switch, default=False, help="say what would be done and how long it would take: no call"
    ),
    _ALLOW_INSECURE,
    _LOG_FORMAT,
)

_NOT_OF_RETRY: Final = frozenset({"--overwrite", "--rerun-edited", "--dry-run"})

RETRY: Final = (
    Option(
        flag="--codes",
        metavar="429,5xx",
        read=_codes,
        help="only rows that failed with these statuses, or codes of the errors file (all)",
    ),
    *(option for option in RUN if option.flag not in _NOT_OF_RETRY),
)

ESTIMATE: Final = (_LIMIT, _BASE_URL, _STATE, _COUNTER)

DOCTOR: Final = (
    _BASE_URL,
    _QUERY,
    Option(
        flag="--model",
        metavar="NAME",
        read=text,
        help="probe with a call of a few tokens to it, whose answer shows the limits",
    ),
    _DIALECT,
    Option(flag="--timeout", metavar="S", read=seconds, default=30.0, help="how long to wait for the answer (30)"),
    _ALLOW_INSECURE,
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
    Option(
        flag="--api-key",
        metavar="KEY",
        read=text,
        many=True,
        environment=False,
        help="accept only these keys",
        shown=mask,
    ),
    Option(flag="--model", metavar="NAME", read=text, many=True, help="know only these models"),
    Option(flag="--quota-after", metavar="N", read=whole(0), help="calls before the account has no money left"),
    Option(flag="--server-errors", metavar="SHARE", read=share, default=0.0, help="share of calls that end in a 500"),
    Option(flag="--no-headers", read=switch, default=False, help="send no rate-limit and no retry headers"),
    Option(flag="--free-refusals", read=switch, default=False, help="a refused call pays nothing"),
    Option(flag="--seed", metavar="N", read=whole(0), default=0, help="of all that is left to chance (0)"),
    _LOG_FORMAT,
)

SERVE: Final = (
    Option(
        flag="--upstream",
        metavar="URL",
        read=text,
        help="the API that requests are forwarded to, and nowhere else (https://api.openai.com/v1)",
        shown=url_shown,
    ),
    Option(
        flag="--host",
        metavar="HOST",
        read=text,
        default="127.0.0.1",
        help="where to listen; another one than this machine's own lets others in (127.0.0.1)",
    ),
    Option(flag="--port", metavar="P", read=whole(0, 65535), default=8080, help="0 takes a free one (8080)"),
    Option(
        flag="--credentials",
        metavar="caller|own",
        read=one_of("caller", "own"),
        default="caller",
        help="whose key goes along: that which the caller sends, or OPENAI_API_KEY for whoever asks (caller)",
    ),
    Option(
        flag="--allow-host",
        metavar="NAME",
        read=text,
        many=True,
        help="a further name by which it may be asked for, such as host.docker.internal",
    ),
    Option(
        flag="--allow-origin",
        metavar="ORIGIN",
        read=text,
        many=True,
        help="a web page that may ask, such as http://localhost:3000",
    ),
    _QUERY,
    _LIMIT,
    _DIALECT,
    Option(flag="--max-in-flight", metavar="N", read=whole(1, 100_000), help="calls under way at once (up to 2000)"),
    Option(
        flag="--max-queue",
        metavar="N",
        read=whole(0, 10_000_000),
        default=10_000,
        help="calls waiting at once; one more is answered 503 (10000)",
    ),
    Option(
        flag="--max-attempts",
        metavar="N",
        read=whole(1, 1000),
        default=5,
        help="attempts of a call, refusals by a rate limit not counted (5)",
    ),
    Option(
        flag="--max-body",
        metavar="MIB",
        read=whole(1, 4096),
        default=64,
        help="MiB that a request may have; it is held while the call waits (64)",
    ),
    Option(
        flag="--max-held",
        metavar="MIB",
        read=whole(1, 1_048_576),
        default=512,
        help="MiB that all requests inside may have together; one more is answered 503 (512)",
    ),
    _STATE,
    *_STORE,
    Option(flag="--metrics", metavar="[HOST:]PORT", read=address, help="serve Prometheus metrics and a live page"),
    Option(
        flag="--grace",
        metavar="S",
        read=seconds,
        default=25.0,
        help="how long calls under way may take to end when it is told to stop (25)",
    ),
    _ALLOW_INSECURE,
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

TOP: Final = (
    Option(flag="--every", metavar="S", read=at_least(0.2), default=1.0, help="look so often, in seconds (1)"),
    Option(flag="--once", read=switch, default=False, help="look once, print it as plain text, and end"),
    Option(flag="--json", read=switch, default=False, help="look once, print it as one JSON object, and end"),
    _LOG_FORMAT,
)


@attrs.frozen(kw_only=True)
class Command:
    """
    Args:
        help: what it does, half a sentence.
        options: its flags.
        input: name and help of its argument; a name in brackets may be left out. None: it takes none.
        output: help of ``-o``; None: it writes no rows.
        epilog: what ``--help`` ends with.
    """

    help: str
    options: Sequence[Option] = ()
    input: tuple[str, str] | None = None
    output: str | None = None
    epilog: str | None = None


_ROWS: Final = "rows in the form of the Batch API, one a line; '-' is stdin"
_CODES: Final = (
    "Exit codes: 0 all rows ok, 1 some failed, 2 usage, 3 key or quota refused, 74 output not written, "
    "75 stopped at a bound and can go on, 130/143 stopped by a signal. "
)
_VARIABLES: Final = (
    "Every flag but --overwrite can also be set in the environment: --max-in-flight as RATELIMIT_CLIENT_MAX_IN_FLIGHT."
)

COMMANDS: Final[Mapping[str, Command]] = {
    "run": Command(
        help="answer every row of a file, and go on where the last run stopped",
        options=RUN,
        input=("IN", _ROWS),
        output="where answers go; '-' is stdout",
        epilog=_CODES + _VARIABLES,
    ),
    "retry": Command(
        help="run the failed rows of a job again, and only those",
        options=RETRY,
        input=("[IN]", "the rows; the file that OUT.job.json names when it is left out"),
        output="the output of the run",
        epilog="The errors file is kept as OUT.errors.<n>.jsonl. " + _CODES + _VARIABLES,
    ),
    "estimate": Command(
        help="what a file would take: rows, tokens, which limit binds, how long",
        options=ESTIMATE,
        input=("IN", "rows in the form of the Batch API, one a line"),
        epilog="Exit codes: 0 every line can be sent, 1 some cannot, 2 usage. No call is made.",
    ),
    "status": Command(
        help="how a job stands: rows answered, failed and left, and what to type next",
        input=("OUT", "the output of a run; its shards are read, too"),
        epilog="Exit codes: 0 every row is answered, 1 some failed or are left, 2 there is no such output.",
    ),
    "doctor": Command(
        help="check key, URL and clock with one probe, and show the limits found",
        options=DOCTOR,
        epilog="Exit codes: 0 all is well, 1 something is not, 2 usage. Without --model the probe costs nothing.",
    ),
    "simulate": Command(
        help="serve a model server with true rate limits, to try things against",
        options=SIMULATE,
    ),
    "serve": Command(
        help="forward the calls of programs in any language to an API, within its limits",
        options=SERVE,
        epilog="Give programs the address it prints as OPENAI_BASE_URL. Exit codes: 0 stopped and every call ended, "
        "2 usage, 130/143 stopped by a signal with calls broken off.",
    ),
    "top": Command(
        help="what a running process does, and why its calls wait",
        options=TOP,
        input=("URL", "the page of --metrics: http://127.0.0.1:9464, or the port alone"),
        epilog="It looks and changes nothing; q leaves. Exit codes: 0 shown, 1 nobody answers there, 2 usage, or "
        "whoever answers is no page of a limiter, 143 stopped by a signal.",
    ),
    "demo": Command(help="run the example job against a model server of its own", options=DEMO),
}
