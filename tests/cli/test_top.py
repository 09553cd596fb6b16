"""``top``, against the page of a real limiter, once and on a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from ratelimit_client import Limiter
from ratelimit_client.adapters.prometheus import MetricsPage, watch
from ratelimit_client.cli import main
from tests.cli.watching import watched

pytest.importorskip("rich")

COLOUR = re.compile(r"\x1b\[(?:\d+;)*3[0-7]m")


@asynccontextmanager
async def page(address: str = "0", queued: int = 3) -> AsyncIterator[str]:
    """Of a limiter whose minute is used up, and for which some wait; yields where."""
    registry, limiter = CollectorRegistry(), Limiter("2 requests/min", name="mine")
    watch(limiter, registry)
    for _ in range(2):
        async with limiter.permit("gpt-4o"):
            pass
    waiting = [asyncio.create_task(limiter.call(asyncio.sleep, 0, key="gpt-4o")) for _ in range(queued)]
    await asyncio.sleep(0)
    async with MetricsPage(address, registry) as shown:
        assert shown.url is not None
        yield shown.url.removeprefix("http://").removesuffix("/metrics")
    await limiter.close()
    await asyncio.gather(*waiting, return_exceptions=True)


def once(*arguments: str) -> int:
    """The exit code of the program, run beside a page whose address stands for ``HERE``."""

    async def story() -> int:
        async with page() as where:
            words = [where if word == "HERE" else word for word in arguments]
            return await asyncio.to_thread(main, ["top", *words])

    return asyncio.run(story())


# -- once -----------------------------------------------------------------------------


def test_where_no_terminal_is_it_is_shown_once(capfd: pytest.CaptureFixture[str]) -> None:
    """Plain text on stdout, a sentence a line, and why the first waits."""
    assert once("HERE") == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert "\x1b" not in out
    assert "mine  3 queued, 0 of " in out
    assert "\n  waits 29." in out or "\n  waits 30." in out
    assert "requests hold 0 of 2 per 60 s (as typed) and the call needs 1; it has waited" in out
    assert "a call that comes now goes in 1 min 30 s, behind 3" in out or "behind 3" in out


def test_it_is_shown_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    """One object in one line, the worst first."""
    assert once("HERE", "--json") == 0
    out, _ = capfd.readouterr()
    assert out.count("\n") == 1
    shown = json.loads(out)
    (key,) = shown["keys"]
    assert (key["model"], key["queued"], key["waits_for"]) == ("gpt-4o", 3, "requests")
    assert 0 < key["next_in_s"] <= 30
    assert shown["page"].startswith("127.0.0.1:")


def test_what_is_wrong_ends_it_with_a_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    """1 where nobody answers, 2 for what is none of ours and what is no address; nothing on stdout."""

    async def story() -> list[int]:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = str(server.sockets[0].getsockname()[1])
        codes = []
        async with page() as where, server:
            for word in (port, f"http://{where}/elsewhere", "ftp://x", ""):
                codes.append(await asyncio.to_thread(main, ["top", word]))
        codes.append(await asyncio.to_thread(main, ["top", port]))
        return codes

    assert asyncio.run(story()) == [1, 2, 2, 2, 1]
    out, err = capfd.readouterr()
    assert out == ""
    for line, words in zip(
        err.splitlines(),
        ["broke (", "shows no state (404)", "is no address of a page", "the input is empty", "nobody listens at"],
        strict=True,
    ):
        assert words in line


def test_a_terminal_that_can_draw_nothing_gets_text() -> None:
    """``TERM=dumb``; and ``--once`` on one that could."""

    async def story() -> None:
        async with page() as where:
            for more, environment in ((["--once"], {}), ([], {"TERM": "dumb"})):
                async with watched("top", where, *more, **environment) as it:
                    assert await it.ends() == 0
                    assert "a call that comes now goes in" in it.terminal.shell
                    assert "\x1b" not in it.terminal.text

    asyncio.run(story())


# -- watching -------------------------------------------------------------------------


def test_it_is_watched_until_q_and_leaves_the_terminal_as_it_was() -> None:
    """Frame by frame on a screen of its own; colours only where they are wanted."""

    async def story() -> None:
        async with page() as where, watched("top", where, "--every", "0.2", NO_COLOR="1") as it:
            before = it.terminal.settings
            await it.shows("it has waited")
            assert not it.terminal.cursor
            assert it.terminal.settings != before
            frames = it.terminal.frames
            await it.until(lambda terminal: terminal.frames > frames + 2)
            assert it.terminal.screen[0].startswith(f"ratelimit-client top  {where}")
            assert it.terminal.screen[0].endswith("each 0.2 s; q leaves")
            it.press("x")
            it.press("q")
            assert await it.ends() == 0
            assert it.terminal.settings == before
            assert it.terminal.cursor
            assert it.terminal.shell == ""
            assert not COLOUR.search(it.terminal.text)

    asyncio.run(story())


@pytest.mark.parametrize(("number", "code"), [(None, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_signals_leave_the_terminal_as_it_was(number: signal.Signals | None, code: int) -> None:
    """Ctrl-C is the usual way to leave."""

    async def story() -> None:
        async with page() as where, watched("top", where) as it:
            before = it.terminal.settings
            await it.shows("it has waited")
            if number is None:
                it.press("\x03")
            else:
                it.process.send_signal(number)
            assert await it.ends() == code
            assert (it.terminal.settings, it.terminal.cursor, it.terminal.shell.replace("^C", "")) == (before, True, "")

    asyncio.run(story())


def test_lost_contact_is_shown_and_comes_back_by_itself() -> None:
    """With since when; the last numbers stay, and a new size is heeded meanwhile."""

    async def story() -> None:
        first = page()
        where = await first.__aenter__()
        async with watched("top", where, "--every", "0.2") as it:
            await it.shows("mine  3 queued")
            assert COLOUR.search(it.terminal.text)
            await first.__aexit__(None, None, None)
            await it.shows("these are the last: nobody listens at")
            assert any("mine  3 queued" in line for line in it.terminal.screen)
            it.resize(60, 12)
            await it.until(lambda terminal: terminal.screen[1].startswith("no news for"))
            assert all(len(line) <= 60 for line in it.terminal.screen)
            async with page(where, queued=5):
                await it.shows("mine  5 queued")
                assert not any("no news" in line for line in it.terminal.screen)
                it.press("q")
                assert await it.ends() == 0

    asyncio.run(story())


def test_a_program_that_was_stopped_goes_on_where_it_was() -> None:
    """Ctrl-Z gives the terminal back, and going on takes it again."""

    async def story() -> None:
        async with page() as where, watched("top", where) as it:
            before = it.terminal.settings
            await it.shows("it has waited")
            it.press("\x1a")
            await it.until(lambda terminal: not terminal.second)
            assert it.terminal.cursor
            assert it.terminal.settings == before
            # It writes that it leaves and then stops: what comes in between would go on before it has stopped.
            await asyncio.to_thread(os.waitid, os.P_PID, it.process.pid, os.WSTOPPED | os.WNOWAIT)
            it.process.send_signal(signal.SIGCONT)
            await it.shows("it has waited")
            it.press("q")
            assert await it.ends() == 0
            assert it.terminal.settings == before

    asyncio.run(story())
