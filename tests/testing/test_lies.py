"""Headers that tell something else than the truth."""

from __future__ import annotations

import random

import pytest

from ratelimit_client import dialects, per_minute
from ratelimit_client.core.units import NS
from ratelimit_client.testing import Answer, Lies, ModelServer
from ratelimit_client.testing.lies import HOSTILE, Liar

LIMIT, REMAINING = "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"


def answers(lies: Lies | None, count: int = 5, **options: object) -> list[Answer]:
    """A call each second, of a limit of 10 a minute."""
    server = ModelServer(per_minute(requests=10), lies=lies, seed=7, **options)  # type: ignore[arg-type]
    return [server.request(now_ns=second * NS) for second in range(count)]


def shown(lies: Lies | None, count: int = 5) -> list[str | None]:
    return [answer.headers.get(REMAINING) for answer in answers(lies, count)]


def test_without_lies_the_truth_is_told() -> None:
    """None at all, or none just now."""
    assert shown(None) == shown(Lies()) == shown(Lies(frozen=1.0, from_s=100)) == ["9", "8", "7", "6", "5"]


def test_dropped_late_and_frozen() -> None:
    """Nothing; what the answer before told; what the first one told."""
    assert shown(Lies(dropped=1.0)) == [None] * 5
    assert shown(Lies(late=1.0)) == ["9", "9", "8", "7", "6"]
    assert shown(Lies(frozen=1.0)) == ["9"] * 5
    assert shown(Lies(frozen=1.0, from_s=1, until_s=3)) == ["9", "9", "9", "6", "5"]


def test_a_wrong_limit_and_a_bucket_that_is_always_full() -> None:
    """The limit is wrong by a factor; or as much is left as it."""
    wrong = {answer.headers[LIMIT] for answer in answers(Lies(wrong_limit=1.0), 40)}
    assert {"1", "5", "100", "10000"} <= wrong
    assert "10" not in wrong
    assert shown(Lies(full=1.0)) == ["10"] * 5


def test_a_hostile_value_stands_in_one_field_and_nobody_falls_over_it() -> None:
    """Everything else is as it was, and reading it raises nothing."""
    seen = set()
    for honest, answer in zip(answers(None, 60), answers(Lies(hostile=1.0), 60), strict=True):
        changed = {name: value for name, value in answer.headers.items() if value != honest.headers[name]}
        assert len(changed) <= 1
        seen.update(changed.values())
        dialects.read(answer.status, answer.headers)
    assert seen <= set(HOSTILE)
    assert len(seen) > 10


def test_lies_change_nothing_but_what_is_told() -> None:
    """The same calls are admitted and charged, and what the answer knows of itself is true."""
    lying, honest = answers(Lies(full=1.0), 12), answers(None, 12)

    assert [each.status for each in lying] == [each.status for each in honest]
    assert [each.signals for each in lying] == [each.signals for each in honest]
    assert lying[0].headers["x-request-id"] == honest[0].headers["x-request-id"]


def test_each_account_is_lied_to_by_itself() -> None:
    """What another model was told is not repeated here; an answer of no account is left as it is."""
    server = ModelServer(
        {"a": per_minute(requests=10), "b": per_minute(requests=500)}, lies=Lies(frozen=1.0), models="ab"
    )
    told = [server.request(model=model, now_ns=0).headers.get(LIMIT) for model in ("a", "b", "a", "b", "c")]
    assert told == ["10", "500", "10", "500", None]


def test_an_answer_that_tells_nothing_cannot_be_made_hostile() -> None:
    """There is no field to put it in."""
    liar = Liar(Lies(hostile=1.0), random.Random(1))
    assert liar.tell({"content-type": "application/json"}, elapsed_s=0) == {"content-type": "application/json"}


@pytest.mark.parametrize("chances", [{"dropped": -0.1}, {"late": 0.6, "full": 0.6}])
def test_chances_are_chances(chances: dict[str, float]) -> None:
    """Between 0 and 1, and no more than 1 together."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        Lies(**chances)
