from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client import Quota, per_day, per_minute
from ratelimit_client.dialects.openai_writing import limit_headers, wait_s
from ratelimit_client.testing import (
    Answer,
    Change,
    Faults,
    LogNormal,
    ModelServer,
    Outsiders,
    RefusalText,
    by_characters_and_output,
    exactly,
    longest,
    minute,
    own_cost,
    sliced,
    stale,
)

S = 1_000_000_000


def calls(server: ModelServer, count: int, *, every_s: float = 0.0, from_s: float = 0.0, **ask: Any) -> list[Answer]:
    return [server.request(now_ns=round((from_s + index * every_s) * S), **ask) for index in range(count)]


def statuses(answers: list[Answer]) -> list[int]:
    return [answer.status for answer in answers]


def test_the_limit_is_kept_and_the_headers_say_so() -> None:
    """Three a minute: three go, the fourth is refused for 20 s, and goes after them."""
    server = ModelServer(per_minute(requests=3))
    first, second, third, fourth = calls(server, 4)

    assert statuses([first, second, third, fourth]) == [200, 200, 200, 429]
    assert [a.headers["x-ratelimit-remaining-requests"] for a in (first, second, third)] == ["2", "1", "0"]
    assert fourth.headers["retry-after"] == "20"
    assert fourth.headers["retry-after-ms"] == "20000"
    assert "Limit 3, Used 3, Requested 1. Please try again in 20s." in json.loads(fourth.body)["error"]["message"]
    assert server.request(now_ns=20 * S - 1).status == 429
    # the refusals were charged what had come back, so the count starts anew
    assert server.request(now_ns=40 * S).status == 200


def test_free_refusals_cost_nothing() -> None:
    """With charge_refusals off a call refused at 19.999 s goes at 20 s."""
    server = ModelServer(per_minute(requests=3), charge_refusals=False)
    calls(server, 3)

    assert server.request(now_ns=20 * S - 1).status == 429
    assert server.request(now_ns=20 * S).status == 200


def test_a_refusal_leaves_within_20_ms_and_an_answer_when_it_is_ready() -> None:
    """Answers take their latency, refusals theirs."""
    server = ModelServer(per_minute(requests=1), latency=4.0)
    answer, refusal = calls(server, 2)

    assert answer.latency_ns == 4 * S
    assert 0 < refusal.latency_ns <= 20_000_000
    assert answer.headers["openai-processing-ms"] == "4000"
    assert (
        ModelServer(per_minute(requests=1), quota_after=0, refusal_latency=0.15).request(now_ns=0).latency_ns
        == 150_000_000
    )


def test_models_have_buckets_of_their_own_and_groups_share_one() -> None:
    """Two models do not feel each other; two of a group do, and the refusal names the group."""
    server = ModelServer(
        {"*": per_minute(requests=1), "big": per_minute(requests=2)}, groups={"a-mini": "a", "a-large": "a"}
    )

    assert statuses([server.request(model=model, now_ns=0) for model in ("x", "y", "x")]) == [200, 200, 429]
    assert statuses(calls(server, 3, model="big")) == [200, 200, 429]
    refusal = [server.request(model=model, now_ns=0) for model in ("a-mini", "a-large")][1]
    assert refusal.status == 429
    assert "for a in organization" in json.loads(refusal.body)["error"]["message"]


def test_a_model_without_quotas_is_never_refused() -> None:
    """No quota, no header, no refusal."""
    server = ModelServer({"other": per_minute(requests=1)})
    answers = calls(server, 50)

    assert set(statuses(answers)) == {200}
    assert not [name for name in answers[0].headers if "ratelimit" in name]


def test_a_call_too_large_is_told_so() -> None:
    """More than the limit ever holds: 429 with the text that means never, without a time to come again."""
    server = ModelServer(per_minute(requests=10, tokens=100), charge=exactly)
    answer = server.request(tokens=101, now_ns=0)

    assert answer.status == 429
    assert "Request too large for gpt-4o" in json.loads(answer.body)["error"]["message"]
    assert "Limit 100, Requested 101." in json.loads(answer.body)["error"]["message"]
    assert "retry-after" not in answer.headers
    assert answer.headers["x-ratelimit-remaining-requests"] == "9"
    assert answer.headers["x-ratelimit-remaining-tokens"] == "100"
    free = ModelServer(per_minute(requests=10, tokens=100), charge=exactly, charge_refusals=False)
    assert free.request(tokens=101, now_ns=0).headers["x-ratelimit-remaining-requests"] == "10"


def test_requests_per_day_may_stand_under_the_plain_name() -> None:
    """On small tiers the header shows the day's bucket: 10 000, 8.64 s for each call."""
    server = ModelServer(per_minute(requests=500) + per_day(requests=10_000), choice=longest)
    answer = server.request(now_ns=0)

    assert answer.headers["x-ratelimit-limit-requests"] == "10000"
    assert answer.headers["x-ratelimit-reset-requests"] == "8.64s"


def test_project_tokens_are_a_dimension_beside_tokens() -> None:
    """Both are paid by the same charge and both are shown."""
    quotas = per_minute(tokens=1000) + Quota("project-tokens", 500)
    answer = ModelServer(quotas, charge=exactly).request(tokens=100, now_ns=0)

    assert answer.headers["x-ratelimit-remaining-tokens"] == "900"
    assert answer.headers["x-ratelimit-remaining-project-tokens"] == "400"
    assert answer.headers["x-ratelimit-reset-project-tokens"] == "12s"


def test_units_may_be_enforced_differently() -> None:
    """Requests in slices, tokens by the minute."""
    server = ModelServer(per_minute(requests=60, tokens=1000), enforcement={"requests": sliced(1)}, charge=exactly)

    assert statuses(calls(server, 2, tokens=400)) == [200, 429]
    assert statuses(calls(ModelServer(per_minute(requests=60), enforcement=minute()), 2)) == [200, 200]


def test_the_charge_may_be_any_rule() -> None:
    """A function of what the call asks for."""
    old = ModelServer(per_minute(tokens=10_000), charge=by_characters_and_output)
    own = ModelServer(per_minute(tokens=10_000), charge=lambda ask: 123)

    assert old.request(chars=400, max_tokens=500, now_ns=0).charged == 602
    assert own.request(chars=400, now_ns=0).headers["x-ratelimit-remaining-tokens"] == "9877"


def test_a_silent_server_says_nothing() -> None:
    """Without headers there is no limit, no retry hint, and no number in the text."""
    server = ModelServer(per_minute(requests=1), headers=False)
    answer, refusal = calls(server, 2)

    assert not [name for name in (*answer.headers, *refusal.headers) if "ratelimit" in name or "retry" in name]
    assert json.loads(refusal.body)["error"]["type"] == "rate_limit_error"
    assert (refusal.signals.unit, refusal.signals.retry_after_s, refusal.signals.readings) == (None, None, {})


def test_a_refusal_tells_as_much_as_it_is_told_to() -> None:
    """FULL has numbers and a time, PLAIN only the unit, BARE nothing; the retry headers are another matter."""
    texts = {}
    for kind in RefusalText:
        refusal = calls(ModelServer(per_minute(requests=1), refusal_text=kind), 2)[1]
        texts[kind] = json.loads(refusal.body)["error"]
        assert refusal.headers["retry-after-ms"] == "60000"
    assert "Used 1" in texts[RefusalText.FULL]["message"]
    assert texts[RefusalText.PLAIN]["type"] == "requests"
    assert texts[RefusalText.BARE]["type"] == "rate_limit_error"

    mute = calls(ModelServer(per_minute(requests=1), retry_headers=False, refusal_text=RefusalText.PLAIN), 2)[1]
    assert "retry-after" not in mute.headers
    assert (mute.signals.unit, mute.signals.retry_after_s) == ("requests", None)


def test_lying_headers() -> None:
    """Stale: the first answer's numbers for ever. Own cost: always limit less one. The bucket itself is honest."""
    for kind, expected in ((stale(), "9"), (own_cost(), "9")):
        server = ModelServer(per_minute(requests=10), headers=kind)
        answers = calls(server, 11)
        assert {answer.headers["x-ratelimit-remaining-requests"] for answer in answers} == {expected}
        assert answers[-1].status == 429


def test_outsiders_spend_what_we_thought_was_ours() -> None:
    """Others take one a second from one a second: after a minute without us nothing has come back."""
    server = ModelServer(per_minute(requests=60), outsiders=Outsiders(per_s=1, from_s=0))
    calls(server, 60)

    assert server.request(now_ns=30 * S).status == 429
    assert server.accounts["gpt-4o"].outside_calls == 30


def test_outsiders_may_keep_to_one_model() -> None:
    """The other model's bucket stays full."""
    server = ModelServer(per_minute(requests=60), outsiders=Outsiders(burst=50, every_s=5, model="a"))
    calls(server, 1, model="a")
    calls(server, 1, model="b")

    assert server.request(model="a", now_ns=5 * S).headers["x-ratelimit-remaining-requests"] == "9"
    assert server.request(model="b", now_ns=5 * S).headers["x-ratelimit-remaining-requests"] == "59"


def test_limits_change_while_it_runs() -> None:
    """Cut after 10 s, raised after 20 s, by schedule; and at once by hand."""
    server = ModelServer(
        per_minute(requests=60),
        changes=[Change(20, per_minute(requests=600)), Change(10, per_minute(requests=6))],
        charge_refusals=False,
    )
    limits = [
        server.request(now_ns=round(at_s * S)).headers["x-ratelimit-limit-requests"] for at_s in (0, 9.9, 10, 19, 20)
    ]
    assert limits == ["60", "60", "6", "6", "600"]

    server.set_limits(per_minute(requests=7), now_ns=21 * S)
    assert server.request(now_ns=21 * S).headers["x-ratelimit-limit-requests"] == "7"


def test_the_snapshot_may_change_during_a_run() -> None:
    """The name in the answers is another one after 30 s, or when it is set by hand."""
    server = ModelServer(snapshots={"gpt-4o": [(0, "gpt-4o-2024-08-06"), (30, "gpt-4o-2024-11-20")], "o1": "o1-2024"})

    assert server.request(now_ns=0).json()["model"] == "gpt-4o-2024-08-06"
    assert server.request(now_ns=30 * S).json()["model"] == "gpt-4o-2024-11-20"
    assert server.request(model="o1", now_ns=0).json()["model"] == "o1-2024"
    server.set_snapshot("gpt-4o", "gpt-4o-next")
    assert server.request(now_ns=30 * S).json()["model"] == "gpt-4o-next"
    assert server.tally.models == {"gpt-4o-2024-08-06": 1, "gpt-4o-2024-11-20": 1, "gpt-4o-next": 1, "o1-2024": 1}


@pytest.mark.parametrize("after", [0, 3])
def test_the_money_runs_out(after: int) -> None:
    """insufficient_quota at once or after some answers, without a limit or a time in it."""
    server = ModelServer(per_minute(requests=100), quota_after=after)
    answers = calls(server, after + 4)

    assert statuses(answers) == [200] * after + [429] * 4
    last = answers[-1]
    assert json.loads(last.body)["error"]["code"] == "insufficient_quota"
    assert not [name for name in last.headers if "ratelimit" in name or "retry" in name]
    assert (last.signals.reason, last.signals.retryable) == ("quota_exhausted", False)


@pytest.mark.parametrize(
    ("fault", "status", "charged", "ok"),
    [
        ("server_error", 500, True, False),
        ("overloaded", 503, False, False),
        ("slow_down", 429, False, False),
        ("reset", 200, True, False),
        ("truncated", 200, True, False),
        ("slow", 200, True, True),
    ],
)
def test_every_fault_is_what_it_says(fault: str, status: int, charged: bool, ok: bool) -> None:
    """Which are charged, which show limits, which end badly."""
    server = ModelServer(per_minute(requests=100), faults=Faults(**{fault: 1.0}), latency=0.5)
    answer = server.request(mark="row", now_ns=0)

    assert (answer.status, answer.ok) == (status, ok)
    assert ("x-ratelimit-limit-requests" in answer.headers) == charged
    assert server.tally.admitted == charged
    assert answer.latency_ns == (5 * S if fault == "slow" else S // 2 if charged else 5_000_000)
    assert (answer.ending.value == fault) == (fault in ("reset", "truncated"))
    assert server.tally.lost(["row"]) == (set() if ok else {"row"})


def test_faults_have_their_time() -> None:
    """An outage from the second second to the fourth; several kinds may overlap."""
    server = ModelServer(
        per_minute(requests=1000), faults=[Faults(server_error=1.0, from_s=2, until_s=4), Faults(overloaded=0.0)]
    )

    assert statuses(calls(server, 6, every_s=1)) == [200, 200, 500, 500, 200, 200]


def test_a_fault_does_not_let_a_refused_call_through() -> None:
    """What the limit refuses is refused, whatever else would have gone wrong."""
    server = ModelServer(per_minute(requests=1), faults=Faults(reset=1.0))

    assert [(answer.status, answer.ending.value) for answer in calls(server, 2)] == [(200, "reset"), (429, "whole")]


def test_too_many_at_once_is_overload_and_no_budget() -> None:
    """With two places, a third call under way is a 503; the places are free again when answers have left."""
    server = ModelServer(per_minute(requests=100), max_in_flight=2, latency=1.0)

    assert statuses(calls(server, 3)) == [200, 200, 503]
    assert server.request(now_ns=S).headers["x-ratelimit-remaining-requests"] == "98"


def test_who_leaves_early_makes_room_and_has_paid() -> None:
    """The place is free at once, whichever of two calls of one instant left; the charge stays, no success counts."""
    server = ModelServer(per_minute(requests=100), max_in_flight=2, latency=1.0)
    first, second, third = (server.request(mark=name, now_ns=0) for name in "abc")
    assert third.status == 503

    server.left(first)
    assert server.request(mark="d", now_ns=0).ok
    assert server.request(mark="e", now_ns=0).status == 503
    assert server.tally.answered == {"b": 1, "d": 1}
    assert server.tally.broken_off == {"left": 1}
    assert (server.tally.admitted, server.tally.models) == (3, {"gpt-4o": 2})
    server.left(third)  # an error that nobody heard stays one
    server.left(second)  # after it would have ended as well
    assert server.tally.errors == {"overloaded": 2}
    assert server.request(now_ns=2 * S).headers["x-ratelimit-remaining-requests"] == "99"


def test_one_seed_is_one_run() -> None:
    """The same seed gives the same latencies and faults and bytes; another seed others."""

    def run(seed: int) -> list[tuple[int, int, bytes]]:
        server = ModelServer(
            per_minute(requests=30), seed=seed, latency=LogNormal(1.0), faults=Faults(server_error=0.3, reset=0.2)
        )
        return [(a.status, a.latency_ns, a.body) for a in calls(server, 60, every_s=0.5)]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_request_ids_are_never_the_same() -> None:
    """Each answer has its own, refused or not."""
    server = ModelServer(per_minute(requests=3))

    ids = {answer.headers["x-request-id"] for answer in calls(server, 50)}
    assert len(ids) == 50
    assert all(name.startswith("req_") and len(name) == 36 for name in ids)


def test_the_tally_finds_lost_and_repeated_rows() -> None:
    """Counts by row, by unit, by status; instants in nanoseconds."""
    server = ModelServer(per_minute(requests=3), latency=0.1)
    for mark in ("a", "b", "a", "c"):
        server.request(mark=mark, now_ns=2 * S)
    tally = server.tally

    assert (tally.calls, tally.admitted, tally.refusals, tally.repeated) == (4, 3, 1, 1)
    assert tally.lost(["a", "b", "c"]) == {"c"}
    assert tally.attempts == {"a": 2, "b": 1, "c": 1}
    assert list(tally.admitted_ns) == [2 * S] * 3
    assert list(tally.refused_ns) == [2 * S]
    report = tally.report(marks=True)
    assert report["refused"] == {"requests": 1}
    assert report["statuses"] == {"200": 3, "429": 1}
    assert report["answered"] == {"a": 2, "b": 1}
    assert json.loads(json.dumps(tally.report()))["rows_repeated"] == 1
    assert repr(server) == (
        "<ModelServer <Tally 4 calls: 3 admitted, 1 refused, 1 repeated>: <Account gpt-4o: <BucketMeter 0/3 requests>>>"
    )
    assert repr(ModelServer()) == "<ModelServer <Tally 0 calls: 0 admitted, 0 refused, 0 repeated>: no call yet>"


@given(
    limit=st.integers(1, 10**8),
    window_s=st.sampled_from([60, 86_400, 2_592_000]),
    steps=st.lists(st.tuples(st.integers(0, 10**11), st.integers(0, 10**7)), min_size=1, max_size=20),
)
def test_headers_and_texts_are_the_writing_sides(limit: int, window_s: int, steps: list[tuple[int, int]]) -> None:
    """What is shown equals limit_headers() of the exact level; the time in a text equals wait_s() of its numbers."""
    server = ModelServer(Quota("tokens", limit, window_s), charge=exactly)
    now_ns = 0
    for pause_ns, tokens in steps:
        now_ns += pause_ns
        answer = server.request(tokens=tokens, now_ns=now_ns)
        (shown,) = answer.shown
        written = limit_headers({"tokens": (limit, Fraction(shown.credits, shown.window_ns), window_s)})
        # The writing side takes floats and forgives them a millionth; ours are whole, and floored as they are.
        near_a_unit = shown.credits % shown.window_ns > 0.99999 * shown.window_ns
        near_a_ms = shown.reset_ns % 1_000_000 > 999_990
        if not (near_a_unit or near_a_ms):
            assert {name: text for name, text in answer.headers.items() if "ratelimit" in name} == written
        if answer.kind == "rate_limit":
            refusal = answer.refusal
            assert refusal is not None
            assert refusal.wait_ns is not None
            formula = wait_s(limit=limit, used=refusal.used, requested=tokens, window_s=window_s)
            assert refusal.wait_ns / S == pytest.approx(formula, abs=2e-9)


def test_answers_tell_what_they_are() -> None:
    """A repr for a failing assertion."""
    assert (
        repr(ModelServer(per_minute(requests=1), latency=0.5).request(now_ns=0))
        == "<Answer 1: 200 ok after 0.5 s, whole>"
    )
