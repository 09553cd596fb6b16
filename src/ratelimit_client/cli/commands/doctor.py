"""
``doctor``: key, URL, one probe, the limits found, the clock.

Law of this file: one call, tried once; what is not well is said with what to do
about it. The probe asks for the list of models, which costs nothing, or with
``--model`` for a few tokens, because servers show limits on such answers only.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import attrs

from ...adapters.aiohttp.client import Client
from ...adapters.aiohttp.reply import Reply
from ...bulk.words import number, shown, window
from ...core.retry import RetryPolicy
from ...core.signals import Reading
from ...errors import ConfigurationError, RateLimitClientError, ResponseError
from ...runtime.secret import mask
from ..args import Request
from ..options import url_shown
from ..report import show
from ..target import base_url
from ..voice import Voice

# A reset that is told as a date is wrong by as much as the clocks differ.
SKEW_S: Final = 5.0
_PROBE: Final = {"messages": [{"role": "user", "content": "Say ok."}], "max_completion_tokens": 16}


@attrs.define(eq=False)
class Findings:
    """
    Lines of the report, and whether all is well.

    Args:
        wall_s: the clock that is checked.
    """

    wall_s: Callable[[], float]
    table: list[tuple[str, str]] = attrs.field(factory=list)
    well: bool = True

    def note(self, label: str, text: str, *, well: bool = True) -> None:
        """One line."""
        self.table.append((label, text if well else f"NOT WELL: {text}"))
        self.well = self.well and well

    # -- what a probe brought ---------------------------------------------------------

    def answered(self, reply: Reply, seconds: float, model: str | None) -> None:
        """A success."""
        took = f"{reply.status} in {seconds:.2f} s"
        request = f", request id {shown(reply.request_id)}" if reply.request_id else ""
        self.note("probe", took + request)
        if model is None:
            models = reply.data.get("data") if isinstance(reply.data, dict) else None
            self.note("models", f"{len(models)} listed" if isinstance(models, list) else "none listed")
        if reply.organization:
            self.note("account", shown(reply.organization))
        self._limits(reply.rate_limits, model)
        self._clock(reply.headers.get("Date"), self.wall_s() - seconds / 2)

    def refused(self, error: ResponseError, model: str | None) -> None:
        """An answer that is no success."""
        listless = model is None and error.status in (404, 405)
        if listless:
            self.note("probe", f"{error.status}: the server answers and lists no models; --model NAME asks one")
        else:
            self.note("probe", shown(str(error)), well=False)
        self._limits({} if error.signals is None else error.signals.readings, model)

    def _limits(self, readings: Mapping[str, Reading], model: str | None) -> None:
        found = [_words(name, reading) for name, reading in readings.items() if reading.limit is not None]
        for text in found:
            self.note("limit", text)
        if not found:
            more = "" if model is not None else "; --model NAME probes with a call that may show some"
            self.note("limit", f"none shown{more}")

    def _clock(self, date: str | None, at_s: float) -> None:
        try:
            # The header has whole seconds, cut off.
            ahead_s = at_s - (parsedate_to_datetime(date or "").timestamp() + 0.5)
        except (TypeError, ValueError, IndexError):
            self.note("clock", "not checked: the answer has no date")
            return
        if abs(ahead_s) <= SKEW_S:
            self.note("clock", f"agrees with the server's within {max(1.0, abs(ahead_s)):.0f} s")
        else:
            which = "ahead of" if ahead_s > 0 else "behind"
            words = f"this machine is {abs(ahead_s):.0f} s {which} the server: waits told as dates will be wrong"
            self.note("clock", words, well=False)


def main(request: Request, voice: Voice) -> int:
    """Look, and report; 0 when all is well."""
    findings = Findings(time.time)
    options = request.options
    key = os.environ.get("OPENAI_API_KEY")
    findings.note("key", mask(key) if key else "none: OPENAI_API_KEY is not set")
    findings.note("server", url_shown(base_url(options["base_url"])))
    try:
        client = Client(
            options["base_url"],
            dialect=options["dialect"],
            retry=RetryPolicy.none(),
            default_query=dict(options["query"] or ()),
            allow_insecure=options["allow_insecure"],
        )
    except LookupError as error:
        raise ConfigurationError(f"--dialect: {error.args[0] if error.args else error}") from None
    except ConfigurationError as error:
        findings.note("set-up", str(error), well=False)
    else:
        asyncio.run(_probe(client, options, findings))
    show([*findings.table, ("", "all is well" if findings.well else "something is not well")])
    return 0 if findings.well else 1


async def _probe(client: Client, options: Mapping[str, Any], findings: Findings) -> None:
    model = options["model"]
    began_ns = time.monotonic_ns()
    try:
        async with client:
            if model is None:
                call = client.get("/models", deadline=options["timeout"])
            else:
                call = client.post("/chat/completions", json={"model": model, **_PROBE}, deadline=options["timeout"])
            reply = await call
            findings.answered(reply, (time.monotonic_ns() - began_ns) / 1e9, model)
    except ResponseError as error:
        findings.refused(error, model)
    except RateLimitClientError as error:
        findings.note("probe", shown(str(error)), well=False)


def _words(name: str, reading: Reading) -> str:
    assert reading.limit is not None
    left = "" if reading.remaining is None else f", {number(round(reading.remaining))} left"
    per = "" if reading.window_s is None else f"/{window(reading.window_s)}"
    return f"{number(round(reading.limit))} {shown(name)}{per}{left}"
