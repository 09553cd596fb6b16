"""The live page in a real browser: what it draws is so, and everybody can read it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from ratelimit_client import Client, Limiter, RetryPolicy, per_minute
from ratelimit_client.adapters.prometheus import MetricsPage, gauge, progress, watch
from ratelimit_client.testing import Faults, serve_model, sliced
from tests.adapters.prometheus.scraping import Found, read
from tests.browsing import PATIENCE_S, Browser, browsing
from tests.canary import KEY
from tests.sizes import SIZE

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}
STATE = "return document.querySelector('#contact').dataset.is"
SETTLED = "return [...document.querySelectorAll('[data-field=level]')].map((e) => e.textContent).join()"
BAD = """
<main id=a><h1>one</h1><h3 id=a>three</h3><button style="font-size: 5px; padding: 0; height: 9px"></button>
<p style="color: #999; background: #aaa">pale</p><p style="font-size: 9px">tiny</p><svg></svg>
<table><tr><td data-field=x>1</td></tr></table><section aria-labelledby=gone></section>
<p role=status></p><p aria-live=polite></p><div aria-hidden=true><a href=x>there</a></div>
<div role=slider aria-label=x tabindex=0 style="width: 3000px">wide</div></main>
"""
WRONG = (
    "contrast 1.", "9 px is too small", "0 header", "level 3 after one of 1", "the id a twice", "names gone", "no name",
    "a picture without words", "in the way of the keyboard", "a slider without", "a table without a title",
    "a row without a head", "that speaks by itself", "px wide in a window of", "out of the window", "for a finger",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as made:
        made.looks()
        yield made


def lived(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 5 * PATIENCE_S))


async def off(function: Callable[..., Any], *args: Any, **how: Any) -> Any:
    """Let the browser do it, while the server goes on."""
    return await asyncio.to_thread(function, *args, **how)


async def metrics(page: MetricsPage) -> Found:
    async with aiohttp.ClientSession() as session, session.get(str(page.url)) as answer:
        return read(await answer.text())


def busy(registry: CollectorRegistry, limiter: Limiter) -> None:
    """What is to be seen: a limiter and a job."""
    watch(limiter, registry)
    for state, rows in (("pending", 3140), ("running", 40), ("done", 1800), ("failed", 20)):
        gauge("bulk_rows", {"job": "answers.jsonl", "state": state}, lambda rows=rows: rows, registry)  # type: ignore[misc]
    told = {"total": 5000, "rate": 4.1, "eta_s": 780.0, "limit": "240 requests/min", "binds": True, "state": "running"}
    progress("answers.jsonl", lambda: told, registry)


async def crowd(limiter: Limiter, *keys: str) -> list[asyncio.Task[None]]:
    """Some calls that go, more that wait, and one that was refused, of each key."""

    async def call(key: str, number: int) -> None:
        async with limiter.permit(key, tokens=1000 * (1 + number % 3), priority=number % 3 - 1) as permit:
            headers = {"x-ratelimit-remaining-requests": "11", "x-ratelimit-limit-requests": "20"}
            permit.observe(429 if number == 3 else 200, headers)
            await asyncio.sleep(3600 if number > 5 else 0)

    calls = [asyncio.create_task(call(key, number)) for key in keys for number in range(40)]
    await asyncio.sleep(1.5)
    return calls


async def end(calls: list[asyncio.Task[None]]) -> None:
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


def by_field(browser: Browser, field: str) -> list[str]:
    return [text.replace(",", "") for text in browser.texts(f"[data-field={field}]")]


def pairs(text: str) -> dict[str, int]:
    """Of "success 12, error 3"."""
    return {name: int(n.replace(",", "")) for name, n in re.findall(r"(?:^|, )(\S[^,]*?) ([\d,]*\d)(?=, |$)", text)}


if SIZE != "test":  # it takes its time

    def test_its_numbers_are_those_of_the_metrics(browser: Browser) -> None:
        """
        After a run with refusals and retries: counts, queues, limits and levels; the console has nothing to say.
        """

        async def story() -> None:
            registry = CollectorRegistry()
            faults = Faults(server_error=0.1)
            async with (
                serve_model(per_minute(requests=300), seed=3, latency=0.2, faults=faults, enforcement=sliced(1)) as url,
                Client(url, api_key=KEY, name="mine", retry=RetryPolicy(max_attempts=9, budget=1.0)) as client,
                MetricsPage("0", registry) as page,
            ):
                watch(client, registry)
                await off(browser.complaints)
                await off(browser.open, page.live_url)
                await asyncio.gather(*(client.post("/chat/completions", json=CHAT) for _ in range(40)))
                await off(browser.until, SETTLED, lambda levels: levels.startswith("300"))
                await off(compare, browser, await metrics(page))
                assert await off(browser.complaints) == []
                assert await off(browser.run, STATE) == "live"

        lived(story())

    def compare(browser: Browser, said: Found) -> None:
        key = ("mine", "gpt-4o")
        assert by_field(browser, "level") == [f"{said['available', 'mine', 'requests', 'gpt-4o']:g}"]
        assert by_field(browser, "limit") == [f"{said['limit', 'mine', 'requests', 'gpt-4o', 'header', '60']:g}"]
        remaining = said["server_remaining", "mine", "requests", "gpt-4o"]
        assert by_field(browser, "server_remaining") == [f"{remaining:g}"]
        assert by_field(browser, "flight") == [f"{said['in_flight', *key]:g}"] == ["0"]
        assert set(by_field(browser, "queued")) == {f"{said['queue_depth', *key, '0']:g}"} == {"0"}
        for field in ("requests", "attempts", "retries", "rate_limited", "tokens"):
            wanted: dict[str, int] = {}
            for (name, *labels), count in said.items():
                if name == f"{field}_total":
                    (label,) = set(labels) - set(key)
                    wanted[label.replace("_", " ")] = int(count)
            assert pairs(browser.text(f"[data-field={field}]")) == wanted
            assert wanted
        admitted, refused = int(by_field(browser, "admitted")[0]), int(by_field(browser, "refused")[0])
        assert admitted == sum(n for at, n in said.items() if at[0] == "attempts_total")
        assert refused == said["rate_limited_total", "mine", "requests", "gpt-4o"]

    @pytest.mark.parametrize("dark", [False, True])
    def test_everybody_can_read_it(browser: Browser, dark: bool) -> None:
        """
        On a desk, a tablet and a phone, by day and by night: contrast, names, headings, and nothing out of the window.
        """

        async def story() -> None:
            registry = CollectorRegistry()
            limiter = Limiter(per_minute(requests=20, tokens=40_000), name="a-client-with-a-long-name-of-one-word")
            busy(registry, limiter)
            async with MetricsPage("0", registry) as page:
                keys = ("gpt-4o", "ft:gpt-4o-mini-2024-07-18:acme-corp:customer-support:AbCdEfGh")
                calls = await crowd(limiter, *keys)
                for width in (375, 820, 1280, 2200):
                    await off(browser.looks, width=width, dark=dark)
                    await off(browser.open, page.live_url)
                    await off(browser.run, "for (const e of document.querySelectorAll('details')) e.open = true")
                    await off(browser.until, "return document.querySelectorAll('details tbody tr').length > 0")
                    assert await off(browser.audit) == []
                await end(calls)
            await off(browser.until, STATE, lambda state: state == "lost")
            assert await off(browser.audit) == []
            await off(browser.looks)

        lived(story())

    def test_the_audit_finds_what_is_wrong(browser: Browser) -> None:
        """
        Of a page that is made badly on purpose: pale and tiny texts, no names, leaps of headings, no room.
        """
        browser.driver.get("data:text/html," + quote(BAD))
        found = browser.audit()
        for part in WRONG:
            assert any(part in each for each in found), (part, found)

    def test_the_keyboard_is_enough(browser: Browser) -> None:
        """
        Whatever can be used is reached by Tab and shows that it was; arrows go through time, and Pause holds it.
        """

        async def story() -> None:
            registry = CollectorRegistry()
            limiter = Limiter("20 requests/min", name="mine")
            busy(registry, limiter)
            async with MetricsPage("0", registry) as page:
                calls = await crowd(limiter, "m")
                await off(browser.looks, still=True)
                await off(browser.open, page.live_url)
                await off(use_keys, browser)
                await end(calls)
            await off(browser.looks)

        lived(story())

    def use_keys(browser: Browser) -> None:
        focused = (
            "const e = document.activeElement, s = getComputedStyle(e);"
            "const name = e.id || e.getAttribute('role') || e.tagName.toLowerCase();"
            "return [name, s.outlineStyle, parseFloat(s.outlineWidth)]"
        )
        reached = []
        for _ in range(5):
            press(browser, Keys.TAB)
            name, style, width = browser.run(focused)
            reached.append(name)
            assert (style, width >= 2) == ("solid", True), name
        assert reached == ["a", "pause", "slider", "summary", "a"]

        browser.run("document.querySelector('[role=slider]').focus()")
        last = browser.text(".said-at")
        assert re.match(r"\d\d:\d\d:\d\d: [\d.]+ admitted and [\d.]+ refused a second$", last)
        press(browser, Keys.HOME)
        assert browser.text(".said-at") != last
        press(browser, Keys.TAB)
        press(browser, Keys.ENTER)
        browser.until("return document.querySelectorAll('details tbody tr').length", lambda rows: rows == 60)
        admitted = [int(text) for text in browser.texts("details tbody td:nth-child(2)")]
        assert sum(admitted) == int(by_field(browser, "admitted")[0])

        browser.run("document.querySelector('#pause').focus()")
        press(browser, Keys.SPACE)
        assert browser.run("return document.querySelector('#pause').getAttribute('aria-pressed')") == "true"
        held = browser.text("#clock")
        browser.until(f"return Date.now() > {browser.run('return Date.now()') + 2500}")
        assert browser.text("#clock") == held
        press(browser, Keys.SPACE)
        browser.until("return document.querySelector('#clock').textContent", lambda clock: clock != held)

    def press(browser: Browser, key: str) -> None:
        ActionChains(browser.driver).send_keys(key).perform()

    def test_contact_is_lost_and_found(browser: Browser) -> None:
        """
        The server goes, the page says since when and shows what it knew; it comes back, and the page goes on.
        """

        async def story() -> None:
            registry = CollectorRegistry()
            limiter = Limiter("20 requests/min", name="mine")
            busy(registry, limiter)
            calls = await crowd(limiter, "m")
            async with MetricsPage("0", registry) as page:
                url = str(page.live_url)
                await off(browser.open, url)
                assert await off(browser.text, "#contact") == "live"
            await off(browser.until, STATE, lambda state: state == "lost")
            said = await off(browser.text, "#contact")
            assert re.fullmatch(r"The program stopped showing this at \d\d:\d\d:\d\d", said)
            assert await off(browser.texts, "h3") == ["answers.jsonl", "m"]
            async with MetricsPage(url.split(":")[2].strip("/"), registry) as page:
                assert page.live_url == url
                await off(browser.until, STATE, lambda state: state == "live")
                await end(calls)
                await off(browser.until, "return document.title", lambda title: title.startswith("0 queued, 0 under"))
            await off(browser.complaints)  # that nobody was there

        lived(story())

    def test_a_server_that_falls_silent(browser: Browser) -> None:
        """
        Its connection stands and nothing comes: that is no contact, either.
        """

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            asked = await reader.readuntil(b"\r\n\r\n")
            if b"GET /events" in asked:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
                state = b'{"version":"0","now_s":%d,"clients":[],"counts":[],"jobs":[],"history":{"at_s":[]}}'
                writer.write(b"data: " + state % 10**9 + b"\n\n")
                await writer.drain()
                await reader.read()
            else:
                async with aiohttp.ClientSession() as session, session.get(asked_of[0]) as answer:
                    body = await answer.read()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" + body)
            writer.close()

        asked_of: list[str] = []
        writers: list[asyncio.StreamWriter] = []

        async def story() -> None:
            async with MetricsPage("0", CollectorRegistry()) as page:
                asked_of.append(str(page.live_url))
                server = await asyncio.start_server(silent, "127.0.0.1", 0)
                await off(browser.open, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
                await off(browser.until, STATE, lambda state: state == "lost")
                assert (await off(browser.text, "#contact")).startswith("Lost contact since ")
                await off(browser.driver.get, "about:blank")
                server.close()
                for writer in writers:
                    writer.close()
                await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)

        lived(story())

    def test_a_name_is_a_text(browser: Browser) -> None:
        """
        Whatever a key, a client or a job is called: it is read, and nothing of it runs or is fetched.
        """
        names = [
            "<img src=x onerror=document.title=1>",
            "</script><script>document.title=1</script>",
            "\"'><svg/onload=document.title=1>",
            "__proto__",
            "x" * 128,
        ]

        async def story() -> None:
            registry = CollectorRegistry()
            limiter = Limiter(name="<b>client</b>")
            watch(limiter, registry)
            progress("<i>job</i>", lambda: {"state": "<u>state</u>", "limit": "<s>limit</s>", "eta_s": 1}, registry)
            for name in names:
                async with limiter.permit(name):
                    pass
            async with MetricsPage("0", registry) as page:
                await off(browser.complaints)
                await off(browser.looks, width=375)
                await off(browser.open, page.live_url)
                assert await off(browser.texts, ".cards h3") == names
                assert await off(browser.text, "#clients h2") == "<b>client</b>"
                assert await off(browser.text, "#jobs h3") == "<i>job</i>"
                assert await off(browser.text, "#jobs .why") == "<u>state</u>"
                injected = "return document.querySelectorAll('main img, main script, main b, main u, main s').length"
                assert await off(browser.run, injected) == 0
                assert await off(browser.audit) == []
                assert await off(browser.complaints) == []
            await off(browser.looks)

        lived(story())
