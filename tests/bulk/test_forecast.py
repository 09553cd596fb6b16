"""What a job will take, read off its rows."""

from __future__ import annotations

import json

from ratelimit_client.bulk.fingerprints import Fingerprints, State, row_bits
from ratelimit_client.bulk.forecast import Bound, Forecast
from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.row import read_row
from ratelimit_client.bulk.walk import Walk
from ratelimit_client.core.quota import Quota, per_day, per_minute
from tests.jobs import row


def line(number: int, name: str, model: str = "m", most: int | None = None, **more: object) -> Line:
    body = {"model": model, "messages": []} | ({} if most is None else {"max_tokens": most})
    return Line(number, number * 100, json.dumps(row(name, body=body, **more)).encode())  # type: ignore[arg-type]


def test_rows_are_added_up_by_model() -> None:
    """
    What is done, flawed, repeated or edited is not sent.
    """
    table = Fingerprints()
    for name, most in (("done", None), ("edited", 5)):
        known = read_row(line(1, name, most=most))
        table.record(known.mark, row_bits(known.id), State.DONE)
    forecast = Forecast(Walk(table))

    forecast.read(
        [
            line(1, "done"),
            line(2, "a", most=100),
            line(3, "b", most=300),
            line(4, "c", model="other", most=50),
            line(5, "a"),
            line(6, "edited"),
            line(7, "bad", url="/x"),
        ]
    )

    assert (forecast.rows, forecast.edited) == (3, 1)
    assert dict(forecast.flaws) == {"duplicate_custom_id": 1, "invalid_url": 1}
    demand = forecast.demands["m"]
    assert (demand.rows, demand.largest_id) == (2, "b")
    assert 400 <= demand.tokens == forecast.tokens - forecast.demands["other"].tokens
    assert forecast.walk.suspects == []


def test_the_limit_that_takes_longest_comes_first() -> None:
    """
    (needed - limit) / rate: the full bucket goes out at once; a row above its limit never goes.
    """
    forecast = Forecast(Walk(Fingerprints()))
    forecast.read(line(number, f"row-{number}") for number in range(1, 31))

    found = forecast.bounds({"m": per_minute(requests=10) + per_day(requests=29), "*": per_minute(requests=1)})
    assert found == [
        Bound("m", Quota("requests", 29, 86_400.0), 86_400 / 29),
        Bound("m", Quota("requests", 10), 120.0),
    ]
    assert [bound.seconds for bound in forecast.bounds({"*": per_minute(requests=30)})] == [0.0]
    assert [bound.seconds for bound in forecast.bounds({"*": per_minute(tokens=1)})] == [None]
    assert forecast.bounds({"other": per_minute(requests=1), "m": per_minute(images=1)}) == []


def test_a_counter_counts_the_texts_of_rows() -> None:
    """
    Each costs what was counted and a few tokens that every call is charged.
    """
    forecast = Forecast(Walk(Fingerprints()), lambda text, model: 1000 if model == "gpt-4o-mini" else 0)
    forecast.read(Line(number, 0, json.dumps(row(f"row-{number}")).encode()) for number in range(3))

    assert forecast.tokens == 3 * 1008
