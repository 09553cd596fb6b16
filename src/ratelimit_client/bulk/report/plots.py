"""
The plots of a run, each with a sentence that says what it shows.

Law of this file: a plot is drawn of what was counted, or a sentence says that there was nothing to
count. None shows more than a sixth of a thousand points, however long the run was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..figures import QUANTILES, limit_words, name
from ..job import Job
from ..meter import LEARNT, Gauge
from ..series import Series, Span
from ..spread import Spread
from ..words import brief, duration, number, shown
from . import axes
from .draw import Curve, Histogram, Timeline, stairs
from .parts import plot, section, table

_DRAWN: Final = 120
_TOLD: Final = 20
# The first moment of a run empties a full bucket: what is drawn is at most so many times the limit.
_BEYOND: Final = 2.0
_MANY: Final = 50.0


def of_limit(job: Job) -> str:
    """How much of the limit that was used most was used, over time."""
    title = "Admissions against the limit"
    used = job.meter.utilisation()
    if used is None:
        return section(title, "The server named no limit, and none was given: nothing held the calls back.")
    _, key, limit = used
    gauge, series = job.meter.gauges[key, limit], job.record.gauges.get((key, limit))
    if series is None or len(series.points) < 2:
        return section(title, "There were more limits than are followed over time.")
    last = series.points[-1].values
    about = (
        f"{gauge.share:.0%} of {limit_words(limit, gauge)}{_whose(job, key)} was used: of the {axes.amount(last[1])} "
        f"that the limit allowed until the end, {axes.amount(min(last))} were taken. The closer the two lines, the "
        "less was left unused. A limit starts full, so the upper line does not begin at zero."
    )
    curves = [
        # What was taken is read off a level that is believed, so it may be a little more than there was.
        Curve("use", [(s, min(values)) for s, values in _since(series)], filled=True),
        Curve("limit", [(s, values[1]) for s, values in _since(series)]),
    ]
    unit = "requests" if limit == LEARNT else gauge.unit
    picture = Timeline("use", title, about, unit, curves)
    rows = [(_time(span), *_of_limit(span)) for span in series.spans(_TOLD)]
    numbers = table("Use of the limit by time", ("time", "taken", "added by the limit", "taken of added"), rows)
    return section(title, about, plot(picture, [("use", f"{unit} taken"), ("limit", "the limit")], numbers))


def _of_limit(span: Span) -> tuple[str, ...]:
    used, offered = span.values
    return axes.amount(used), axes.amount(offered), f"{used / offered:.0%}" if offered > 0 else "-"


def of_pace(job: Job) -> str:
    """What was let out and what was refused, over time."""
    title = "Pace"
    spans = [span for span in job.record.flow.spans(_DRAWN) if span.seconds]
    sent, refused = (sum(span.values[kind] for span in spans) for kind in (0, 1))
    if not sent:
        return section(title, "No call was made.")
    limit = _limit_of_all(job)
    per_s, unit = _unit(spans, limit)
    about = f"{number(round(sent))} calls were let out in {duration(job.seconds)}, {number(round(refused))} refused."
    curves, legend = [Curve("use", _rate(spans, 0, per_s), filled=True)], [("use", "let out")]
    if refused:
        curves.append(Curve("refused", _rate(spans, 1, per_s), filled=True))
        legend.append(("refused", "refused"))
    if limit is not None:
        curves.append(Curve("limit", [(0.0, per_s * limit.rate), (spans[-1].to_s, per_s * limit.rate)]))
        legend.append(("limit", limit_words(limit.unit, limit)))
    most = max(span.values[0] / span.seconds for span in spans)
    top = _BEYOND * (limit.rate if limit is not None else _BEYOND * _usual(spans))
    if most > top:
        about += f" At most {axes.amount(per_s * most)} {unit}, as a limit that starts full allows: the plot is cut."
    picture = Timeline("pace", title, about, f"calls {unit}", curves, per_s * top if most > top else None)
    return section(title, about, plot(picture, legend, _flow_table(job)))


def _usual(spans: Sequence[Span]) -> float:
    """Calls a second in half of the spans in which there were any."""
    rates = sorted(span.values[0] / span.seconds for span in spans if span.values[0])
    return rates[len(rates) // 2]


def _unit(spans: Sequence[Span], limit: Gauge | None) -> tuple[float, str]:
    """Calls a minute, as limits are told; calls a second where they are very many."""
    is_many = _usual(spans) >= _MANY if limit is None else limit.window_s < 60
    return (1.0, "a second") if is_many else (60.0, "a minute")


def _rate(spans: Sequence[Span], counter: int, per_s: float) -> list[tuple[float, float]]:
    return stairs([(span.from_s, span.to_s, per_s * span.values[counter] / span.seconds) for span in spans])


def of_queue(job: Job) -> str:
    """What waited and what was under way, over time."""
    title = "Queue and calls under way"
    spans = [span for span in job.record.flow.spans(_DRAWN) if span.seconds]
    if not any(span.values[0] for span in spans):
        return section(title, "No call was made.")
    record = job.record
    about = (
        f"At most {number(record.most_queued)} calls waited for their turn and {number(record.most_in_flight)} were "
        "under way, as far as a look each second saw. Rows that still stand in the input wait nowhere."
    )
    curves = [Curve("queued", _rate(spans, 2, 1.0), filled=True), Curve("flight", _rate(spans, 3, 1.0))]
    picture = Timeline("queue", title, about, "calls", curves)
    return section(title, about, plot(picture, [("queued", "waiting"), ("flight", "under way")], ""))


def of_times(title: str, kind: str, spread: Spread, about: str) -> str:
    """How long something took."""
    if not spread.count:
        return section(title, "No row was answered.")
    marks = [(name(permille), spread.quantile(permille) or 0.0) for permille in QUANTILES]
    told = ", ".join(f"{label} {brief(seconds)}" for label, seconds in marks)
    words = f"{about} {number(spread.count)} answered {'row' if spread.count == 1 else 'rows'}: {told}."
    bars = spread.bars()
    picture = Histogram(kind, title, words, kind, bars, marks)
    rows = [(f"{brief(bar.low_s)} to {brief(bar.high_s)}", number(bar.number)) for bar in bars if bar.number]
    ends = [("shortest", brief(spread.least_s)), *((label, brief(s)) for label, s in marks)]
    ends.append(("longest", brief(spread.most_s)))
    numbers = table(f"{title}: in short", ("", "time"), ends) + table(f"{title}: rows by time", ("time", "rows"), rows)
    return section(title, words, plot(picture, [], numbers))


def _flow_table(job: Job) -> str:
    rows = [
        (
            _time(span),
            number(round(span.values[0])),
            number(round(span.values[1])),
            axes.amount(span.values[2] / span.seconds),
            axes.amount(span.values[3] / span.seconds),
        )
        for span in job.record.flow.spans(_TOLD)
        if span.seconds
    ]
    heads = ("time", "let out", "refused", "waiting, mean", "under way, mean")
    return table("Calls by time", heads, rows)


def _whose(job: Job, key: str) -> str:
    return f" of {shown(key)}" if len({each for each, _ in job.meter.gauges}) > 1 else ""


def _limit_of_all(job: Job) -> Gauge | None:
    """The limit of requests where there is one model, so that all calls are held against it."""
    used = job.meter.utilisation()
    keys = {key for key, _ in job.meter.gauges}
    if used is None or len(keys) > 1:
        return None
    return min((g for g in job.meter.gauges.values() if g.unit == "requests"), key=lambda g: g.rate, default=None)


def _since(series: Series) -> list[tuple[float, tuple[float, ...]]]:
    begin_ns = series.points[0].at_ns
    return [((point.at_ns - begin_ns) / 1e9, point.values) for point in series.points]


def _time(span: Span) -> str:
    return f"{brief(span.from_s) if span.from_s else '0'} to {brief(span.to_s)}"
