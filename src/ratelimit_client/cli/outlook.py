"""
A forecast in words.

Law of this file: what is estimated is called "about"; a number of a limit comes
with where it is from.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..bulk.forecast import Bound, Forecast
from ..bulk.words import duration, number, shown, window
from ..core.quota import Quotas

_SHOWN_MODELS = 8


def table(forecast: Forecast, quotas: Mapping[str, Quotas], unknown: str) -> list[tuple[str, str]]:
    """
    Labels and texts.

    Args:
        quotas: the limits, by model.
        unknown: what to do where no limit is known.
    """
    bounds = forecast.bounds(quotas)
    return [
        ("rows", _rows(forecast)),
        *_flaws(forecast),
        ("tokens", f"about {number(forecast.tokens)}: {_counted_by(forecast)} and all the output that is asked for"),
        *_models(forecast),
        *_limits(bounds, unknown, forecast),
    ]


def is_well(forecast: Forecast, quotas: Mapping[str, Quotas]) -> bool:
    """Every line of the input can be sent."""
    return not forecast.flaws and not forecast.edited and not _never(forecast.bounds(quotas))


def _counted_by(forecast: Forecast) -> str:
    return "the text" if forecast.counter is None else "the text, counted by tiktoken,"


def _rows(forecast: Forecast) -> str:
    walk = forecast.walk
    parts = [f"{number(forecast.rows)} to be sent"]
    if walk.done_before:
        parts.append(f"{number(walk.done_before)} answered before")
    if walk.failed_before:
        parts.append(f"{number(walk.failed_before)} failed before")
    return ", ".join(parts)


def _flaws(forecast: Forecast) -> list[tuple[str, str]]:
    if not forecast.flaws:
        return []
    text = ", ".join(f"{count} x {code}" for code, count in forecast.flaws.most_common())
    return [("flawed", f"{text}: error lines, not sent")]


def _models(forecast: Forecast) -> list[tuple[str, str]]:
    ordered = sorted(forecast.demands.items(), key=lambda item: -item[1].tokens)
    found = [
        (
            "model",
            f"{shown(model) or 'unnamed'}: {_counted(demand.rows)}, about {number(demand.tokens)} tokens, "
            f"at most {number(demand.largest)} a row",
        )
        for model, demand in ordered[:_SHOWN_MODELS]
    ]
    more = len(ordered) - _SHOWN_MODELS
    return [*found, *([("", f"and {more} more models")] if more > 0 else [])]


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{number(rows)} rows"


def _limits(bounds: list[Bound], unknown: str, forecast: Forecast) -> list[tuple[str, str]]:
    if not bounds:
        return [("limit", f"none known: {unknown}")] if forecast.rows else []
    never = _never(bounds)
    found = [
        (
            "never",
            f"row {shown(forecast.demands[bound.model].largest_id)} of {shown(bound.model) or 'unnamed'} needs about "
            f"{number(forecast.demands[bound.model].largest)} tokens, more than {_words(bound)} ever hold",
        )
        for bound in never[:_SHOWN_MODELS]
    ]
    timed = [bound for bound in bounds if bound.seconds is not None]
    if not timed:
        return found
    binding = timed[0]
    assert binding.seconds is not None
    if not binding.seconds:
        return [*found, ("limit", "none binds: all rows fit at once"), ("time", "as long as the slowest answers take")]
    rest = {bound.model for bound in timed}.symmetric_difference(forecast.demands)
    partly = f"; no limit of {len(rest)} models is known" if rest and len(rest) > len(never) else ""
    return [
        *found,
        ("limit", f"{_words(binding)} of {shown(binding.model) or 'unnamed'} binds{partly}"),
        ("time", f"about {duration(binding.seconds)}"),
    ]


def _never(bounds: list[Bound]) -> list[Bound]:
    return [bound for bound in bounds if bound.seconds is None]


def _words(bound: Bound) -> str:
    return f"{number(bound.quota.amount)} {bound.quota.unit}/{window(bound.quota.window_s)}"
