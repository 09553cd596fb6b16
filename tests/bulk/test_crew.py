"""The calls of a job, made by several workers."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest

from ratelimit_client import per_hour
from ratelimit_client.bulk.engines.crew import Crew
from ratelimit_client.bulk.engines.recipe import Recipe
from ratelimit_client.bulk.engines.worker import Answer
from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.row import Row, read_row
from ratelimit_client.bulk.stops import Stop, Why
from ratelimit_client.errors import Closed, ConfigurationError, ModelNotFound
from ratelimit_client.testing import Faults, ModelServer, sliced
from tests.bulk.workers import Direct, crew_of
from tests.jobs import row as row_of
from tests.jobs import serving

PATIENCE_S = 20.0
"""After which a row is waited for that nobody has."""

Scene = Callable[[Crew, list[Direct]], Awaitable[None]]


def rows(count: int, model: str = "gpt-4o-mini") -> list[Row]:
    found = [read_row(Line(n, 0, json.dumps(row_of(f"row-{n}", model=model)).encode())) for n in range(count)]
    return [row for row in found if isinstance(row, Row)]


def play(
    scene: Scene, count: int = 2, *, limits: str = "100000 requests/min", server: Any = None, **more: Any
) -> ModelServer:
    """Run *scene* with so many workers beside a server."""

    async def work() -> None:
        recipe = Recipe(**{"base_url": os.environ["OPENAI_BASE_URL"]} | more.pop("recipe", {}))
        crew, hands = crew_of(recipe, count, **more)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await crew.open()
                await scene(crew, hands)
        finally:
            await crew.close()

    with serving(limits, **(server or {})) as found:
        asyncio.run(work())
    return found


def answers(found: list[Any]) -> int:
    return sum(isinstance(each, Answer) and each.status == 200 for each in found)


def test_rows_go_to_whoever_has_the_fewest() -> None:
    """
    All are answered, each once, by all workers alike.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        assert answers(await asyncio.gather(*map(crew.call, rows(60)))) == 60
        assert [len(hand.taken) for hand in hands] == [20, 20, 20]
        assert crew.workers == 3

    assert play(scene, 3).tally.calls == 60


def test_what_workers_know_is_told_as_one() -> None:
    """
    Calls are added up; an error is the very error that the client raised, wherever that was.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        found = await asyncio.gather(*map(crew.call, rows(8)))
        assert found[0].data["model"].startswith("gpt-4o-mini")
        assert set(found[0].data) == {"model", "usage"}
        with pytest.raises(ModelNotFound):
            await crew.call(rows(1, "nobody-knows-it")[0])
        await told(lambda: sum(key.granted for key in crew.statistics().keys.values()) == 9)
        assert crew.statistics().keys["gpt-4o-mini"].granted == 8
        assert crew.in_flight() == 0
        assert crew.facts() == {"workers": 2, "workers_lost": 0, "rows_given_again": 0}

    play(scene, server={"models": ["gpt-4o-mini"]})


async def told(condition: Callable[[], bool]) -> None:
    """Wait until the workers' news say so."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # what is looked at tells nobody
            await asyncio.sleep(0.01)


def test_what_a_lost_worker_had_is_given_to_others() -> None:
    """
    Each row is answered once as far as anybody here sees; what was answered before is not sent again.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        first = await asyncio.gather(*map(crew.call, rows(10)))
        calls = [asyncio.create_task(crew.call(row)) for row in rows(40)]
        await told(lambda: crew.in_flight() > 0)
        await hands[0].kill()
        found = await asyncio.gather(*calls)
        assert (answers(list(first)), answers(found)) == (10, 40)
        assert crew.lost == 1
        assert 0 < crew.again <= 20
        assert len(hands[0].taken) + len(hands[1].taken) == 50 + crew.again

    server = play(scene, server={"latency": 0.3})
    assert 50 <= server.tally.calls <= 70


def test_a_lost_worker_comes_back_and_its_calls_still_count() -> None:
    """
    It is told the recipe anew; nothing of what the first sent is forgotten.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        await asyncio.gather(*map(crew.call, rows(10)))
        await told(lambda: granted(crew) == 10)
        await hands[0].kill()
        await told(lambda: len(hands[0].recipes) == 2 and crew.seats[0].born is not None)
        assert answers(await asyncio.gather(*map(crew.call, rows(5)))) == 5
        await told(lambda: granted(crew) == 15)

    play(scene, 1)


def granted(crew: Crew) -> int:
    return sum(key.granted for key in crew.statistics().keys.values())


def test_news_that_were_lost_are_told_again() -> None:
    """
    Who was away for a moment has kept what ended meanwhile: no row is sent twice.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        calls = [asyncio.create_task(crew.call(row)) for row in rows(20)]
        await told(lambda: crew.in_flight() > 0)
        hands[0].drops = 2
        assert answers(await asyncio.gather(*calls)) == 20
        assert hands[0].drops == 0
        assert (crew.lost, crew.again) == (0, 0)

    assert play(scene, 1, server={"latency": 0.1}).tally.calls == 20


def test_who_stays_away_has_its_rows_given_to_others() -> None:
    """
    Twice sent is better than never; the first end counts.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        calls = [asyncio.create_task(crew.call(row)) for row in rows(20)]
        await told(lambda: crew.in_flight() > 0)
        hands[0].is_away = True
        assert answers(await asyncio.gather(*calls)) == 20
        assert crew.lost == 1

    play(scene, away_s=0.1, server={"latency": 0.3})


def test_with_nobody_there_the_run_ends_and_can_go_on() -> None:
    """
    Rows wait for a worker, and for no longer than that.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        stops: list[Stop] = []
        crew.on_stop(stops.append)
        hands[0].is_away = True
        call = asyncio.create_task(crew.call(rows(1)[0]))
        await told(lambda: bool(stops))
        assert stops[0].why is Why.MAX_OUTAGE
        assert "no worker" in stops[0].sentence
        crew.refuse_queued()
        with pytest.raises(Closed):
            await call

    play(scene, 1, away_s=0.1, nobody_s=0.3)


def test_an_ending_takes_back_what_waits() -> None:
    """
    Rows in a worker's queue come back unsent; those that are out may finish.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        calls = [asyncio.create_task(crew.call(row)) for row in rows(40)]
        await told(lambda: crew.in_flight() > 0)
        crew.refuse_queued()
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert answers(found) + sum(isinstance(each, Closed) for each in found) == 40
        assert 0 < answers(found) < 40

    server = play(scene, recipe={"max_in_flight": 4}, server={"latency": 0.3})
    assert server.tally.calls < 40


def test_the_end_of_the_input_is_told_to_who_comes_back_as_well() -> None:
    """
    The last rows need not wait for what is kept back, whoever has them.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        crew.end_of_input()
        crew.end_of_input()
        await hands[0].kill()
        await told(lambda: len(hands[0].recipes) == 2 and crew.seats[0].born is not None)
        assert answers(await asyncio.gather(*map(crew.call, rows(6)))) == 6

    play(scene, 1, limits="6 requests/min", recipe={"quotas": {}})


def test_a_worker_that_can_never_be_ready_is_refused_at_the_start() -> None:
    """
    With the sentence of what it needs.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        raise AssertionError("nobody was ready")

    with pytest.raises(ConfigurationError, match="plain http"):
        play(scene, recipe={"base_url": "http://example.com/v1"})


def test_a_worker_that_comes_back_and_can_not_be_ready_ends_the_run() -> None:
    """
    And keeps nothing of what its life before had: those rows end, too.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        stops: list[Stop] = []
        crew.on_stop(stops.append)
        calls = [asyncio.create_task(crew.call(row)) for row in rows(4)]
        await told(lambda: crew.in_flight() > 0)
        crew.seats[0].recipe = attrs.evolve(crew.seats[0].recipe, base_url="http://example.com/v1")
        hands[0].restart()
        await told(lambda: bool(stops))
        assert stops[0].why is Why.CONFIGURATION
        crew.refuse_queued()
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, Closed) for each in found)

    play(scene, 1, server={"latency": 5.0})


def test_a_bug_in_a_worker_ends_the_run() -> None:
    """
    Its traceback is what the run shows; no row waits for ever.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        async def fail() -> None:
            raise ZeroDivisionError("a bug")

        hands[0].after_collect = fail
        with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug"):
            await crew.call(rows(1)[0])

    play(scene, 1)


def test_rows_that_did_not_arrive_are_given_again() -> None:
    """
    Whoever did not get them does not have them.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        hands[0].misses = 2
        assert answers(await asyncio.gather(*map(crew.call, rows(10)))) == 10
        assert len(hands[0].taken) == 30

    assert play(scene, 1).tally.calls == 10


def test_what_the_next_call_waits_for_is_known_here() -> None:
    """
    That of the worker where it takes the least time; nothing is idle while a call is out.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        assert (crew.idle_for_s(), crew.waits_for()) == (0.0, "the workers wait")
        calls = [asyncio.create_task(crew.call(row)) for row in rows(8)]
        await told(lambda: crew.idle_for_s() > 1)
        (wait,) = crew.waits().values()
        assert wait.ready_in_s is not None
        assert wait.binding == "requests"
        assert crew.waits_for() == str(wait)
        crew.refuse_queued()
        await asyncio.gather(*calls, return_exceptions=True)

    play(scene, recipe={"quotas": {"*": per_hour(requests=2)}})


def test_attempts_made_again_are_counted_for_those_who_are_gone_as_well() -> None:
    """
    By what made them necessary.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        await asyncio.gather(*map(crew.call, rows(12)))
        await told(lambda: crew.retries()["server_error"] > 0)
        again = crew.retries()["server_error"]
        assert again == granted(crew) - 12
        await hands[0].kill()
        await told(lambda: crew.lost == 1)
        assert crew.retries()["server_error"] == again

    play(scene, 1, server={"faults": Faults(server_error=0.3), "seed": 1})


def test_what_came_of_calls_is_counted_for_those_who_are_gone_as_well() -> None:
    """
    By status, and refusals by the limit they named: as the server counts them.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        await asyncio.gather(*map(crew.call, rows(30)))
        await told(lambda: crew.failures().total() == granted(crew) - 30)
        counted.append((crew.failures(), crew.refusals()))
        await hands[0].kill()
        await told(lambda: crew.lost == 1)
        counted.append((crew.failures(), crew.refusals()))

    counted: list[tuple[Counter[str], Counter[str]]] = []
    server = play(scene, 1, limits="1200 requests/min", server={"enforcement": sliced(0.5), "seed": 1})
    assert server.tally.refused.total() > 0
    assert counted == [({"429": server.tally.statuses[429]}, server.tally.refused)] * 2


@pytest.mark.parametrize(("count", "in_parts", "tells"), [(1, True, True), (2, True, False), (1, False, False)])
def test_workers_are_others_to_each_other(count: int, in_parts: bool, tells: bool) -> None:
    """
    So what others take of a limit is known of one worker alone, where no store is shared.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        assert crew.tells_others is tells

    play(scene, count, in_parts=in_parts)


def test_a_row_that_nobody_waits_for_is_given_to_nobody() -> None:
    """
    An aborted run sends nothing more.
    """

    async def scene(crew: Crew, hands: list[Direct]) -> None:
        await hands[0].kill()
        await told(lambda: crew.lost == 1)
        call = asyncio.create_task(crew.call(rows(1)[0]))
        await asyncio.sleep(0)
        call.cancel()
        await told(lambda: crew.seats[0].born is not None)
        assert hands[0].taken == []

    assert play(scene, 1).tally.calls == 0
