"""``serve --store``: proxies that spend one budget, with each other and with runs."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests import canary
from tests.cli.test_serve import asked, ended, served
from tests.jobs import KEY, rows, run, serving, start, write
from tests.redis_server import free_port, running


def started(*arguments: str) -> subprocess.Popen[bytes]:
    """The program, which may not come to listen."""
    return start("--port", "0", "--upstream", "http://127.0.0.1:1/v1", *arguments, command=("serve",))


BEARER = {"Authorization": f"Bearer {KEY}"}


def test_two_proxies_and_a_run_spend_one_budget(tmp_path: Path) -> None:
    """What one has let out the others do not have; a proxy that ends gives back what it holds."""
    of = ("--credentials", "own", "--limit", "9 requests/hour", "--store-name", "ours")
    job = write(tmp_path / "in.jsonl", *rows(9, model="gpt-4o"))
    with running(tmp_path) as redis, serving(api_keys=[KEY]) as server:
        store = ("--store", redis.url)
        with served(*of, *store) as (first, one), served(*of, *store) as (second, other):
            answers = [asked(url) for url in (one, other) for _ in range(2)]
            for process in (first, second):
                process.send_signal(signal.SIGTERM)
            ends = [ended(process) for process in (first, second)]
        code = run(job, "-o", tmp_path / "out", *of[2:], *store, "--max-time", "3")

    assert [answer.status for answer in answers] == [200] * 4
    assert [code for code, _ in ends] == [0, 0]
    assert code == 75, "the hour is over its limit"
    assert server.tally.calls == 9


def test_a_store_that_is_set_up_wrongly_is_told_before_it_listens(tmp_path: Path) -> None:
    """Exit code 2, and no password in what it says."""
    with running(tmp_path, "requirepass another") as redis:
        url = redis.url.replace("//", f"//:{canary.KEY}@")
        process = started("--store", url)
        code, said = ended(process)
    assert code == 2
    assert "refused the password" in said


@pytest.mark.parametrize("then", ["share", "stop"])
def test_without_its_store_it_goes_on_or_does_not_begin(then: str) -> None:
    """As it was told."""
    store = ("--store", f"redis://:{canary.KEY}@127.0.0.1:{free_port()}", "--on-store-failure", then)
    with serving(api_keys=[KEY]):
        if then == "stop":
            code, said = ended(started(*store))
            assert code == 2
        else:
            with served(*store) as (process, url):
                assert asked(url, **BEARER).status == 200
                process.send_signal(signal.SIGTERM)
                code, said = ended(process)
            assert code == 0
            assert "calls go on with this process's part of the limits" in said
    assert "no connection to the store redis://127.0.0.1" in said
