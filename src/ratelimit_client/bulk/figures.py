"""
What made a run as fast as it was: refusals, retries, waits, others, and what estimates were worth.

Law of this file: a figure is counted or it is None. What cannot be known is never a zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import attrs

from ..core.counts import UNKNOWN
from .job import Job
from .meter import LEARNT, Gauge
from .spread import Spread
from .words import brief, number, shown, window

RATE_LIMITED: Final = "rate_limited"
SUCCESS: Final = "2xx"
QUANTILES: Final = (500, 900, 990)
# Less of a limit than this, taken by others, is told to nobody who did not ask.
_TELLING: Final = 0.005


@attrs.frozen
class Figures:
    """
    Args:
        refused: refusals by the limit they named; "unknown" where they named none.
        retried: attempts made again by what made them necessary.
        attempts: by status, or by what came instead of an answer; "2xx" are those that brought a row its answer.
        others: share of the limit that binds that others on the key took; None where that is not known.
        estimate: tokens charged for each token estimated, as learnt; None where answers do not show it.
    """

    refused: Counter[str]
    retried: Counter[str]
    attempts: Counter[str]
    others: float | None
    estimate: float | None

    @property
    def retries(self) -> int:
        """Attempts made again, those after a refusal by a rate limit left out."""
        return self.retried.total() - self.retried[RATE_LIMITED]


def figures_of(job: Job) -> Figures:
    """Those of a job, now."""
    attempts = job.engine.failures()
    attempts[SUCCESS] = job.tally.ok + job.tally.lost_answers
    return Figures(
        refused=job.engine.refusals(),
        retried=job.engine.retries(),
        attempts=+attempts,  # none of a kind is no kind
        others=_others(job),
        estimate=_estimate(job),
    )


def _estimate(job: Job) -> float | None:
    """What is believed of estimates in the end: of all models that it is known of, by their calls."""
    known = [
        (key.granted, key.estimate_ratio)
        for key in job.engine.statistics().keys.values()
        if key.estimate_ratio is not None
    ]
    calls = sum(granted for granted, _ in known)
    return sum(granted * ratio for granted, ratio in known) / calls if calls else None


def _others(job: Job) -> float | None:
    """Of the model whose limit was used most: what others took of its requests, which are counted exactly."""
    used = job.meter.utilisation()
    if used is None or not job.engine.tells_others:
        return None
    shares = [gauge.others_share for (key, _), gauge in job.meter.gauges.items() if key == used[1]]
    return max((share for share in shares if share is not None), default=None)


# -- for machines ---------------------------------------------------------------------


def facts(job: Job, found: Figures) -> dict[str, Any]:
    """As members of the summary file."""
    return {
        "refused_by_limit": dict(found.refused.most_common()),
        "retries_by_reason": dict(found.retried.most_common()),
        "attempts_by_code": dict(found.attempts.most_common()),
        "queue_wait_s": _quantiles(job.tally.waits),
        "latency_s": _quantiles(job.tally.latencies),
        "foreign_share": _rounded(found.others),
        "estimate_ratio": _rounded(found.estimate),
    }


def _quantiles(spread: Spread) -> dict[str, float] | None:
    if not spread.count:
        return None
    found = {name(permille): _known(spread, permille) for permille in QUANTILES}
    return {"rows": spread.count, **{at: round(s, 4) for at, s in found.items()}, "max": round(spread.most_s, 4)}


def name(permille: int) -> str:
    """p50 is 500."""
    return f"p{permille / 10:g}"


def _known(spread: Spread, permille: int) -> float:
    seconds = spread.quantile(permille)
    assert seconds is not None, "there is one where anything was counted"
    return seconds


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


# -- for people -----------------------------------------------------------------------


def lines(job: Job, found: Figures) -> list[tuple[str, str]]:
    """Labels and texts, of what there is to tell."""
    table = []
    if found.refused.total():
        table.append(("refused", _counted({limit_name(limit): n for limit, n in found.refused.most_common()})))
    if found.retries:
        why = {reason: count for reason, count in found.retried.most_common() if reason != RATE_LIMITED}
        table.append(("retried", _counted(why)))
    if job.tally.waits.count > 1:
        table.append(("queued", _times(job.tally.waits)))
    if job.tally.latencies.count > 1:
        table.append(("latency", _times(job.tally.latencies)))
    if found.others is not None and found.others >= _TELLING:
        table.append(("others", f"{found.others:.0%} of the limit went to others on the key"))
    if found.estimate is not None:
        table.append(("estimate", f"{found.estimate:.2f} tokens charged for each that was estimated"))
    return table


def limit_words(limit: str, gauge: Gauge) -> str:
    """A limit, as people are told of it."""
    if limit == LEARNT:
        return f"{number(round(60 * gauge.rate))} requests/minute (learnt)"
    return f"{number(gauge.limit)} {shown(limit)}/{window(gauge.window_s)}"


def limit_name(limit: str) -> str:
    """The limit that a refusal named, for people."""
    return "no limit named" if limit == UNKNOWN else limit


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number(count)} x {shown(what)}" for what, count in counts.items())


def _times(spread: Spread) -> str:
    half, nine, most = (brief(_known(spread, permille)) for permille in QUANTILES)
    return f"half within {half}, 90 % within {nine}, 99 % within {most}, at most {brief(spread.most_s)}"
