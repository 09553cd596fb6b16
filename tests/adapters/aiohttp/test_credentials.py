from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ratelimit_client.adapters.aiohttp.credentials import Credentials
from ratelimit_client.errors import Closed, ConfigurationError
from tests import canary

KEY, OTHER = canary.KEY, canary.OTHER_KEY


class Vault:
    """Hands out the keys it was given, one after the other, and counts how often it is asked."""

    def __init__(self, *keys: str | Exception) -> None:
        self.keys = list(keys)
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        key = self.keys.pop(0) if len(self.keys) > 1 else self.keys[0]
        if isinstance(key, Exception):
            raise key
        return key


class AsyncVault(Vault):
    async def __call__(self) -> str:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().__call__()


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def revealed(credentials: Credentials) -> str:
    assert credentials.key is not None
    return credentials.key.reveal()


def test_a_key_that_was_typed_in():
    """
    It is stripped, always fresh, never asked for again, and not shown.
    """

    async def story() -> None:
        credentials = Credentials(f" {KEY}\n")
        await credentials.refresh()

        assert credentials.fresh()
        assert revealed(credentials) == KEY
        assert not await credentials.renew(credentials.key)
        assert "0123456789" not in repr(credentials)

    run(story)


@pytest.mark.parametrize("nothing", [None, "", "  \n"])
def test_no_key(nothing: str | None):
    """
    No key, an empty one and blanks are the same: none.
    """
    assert not Credentials(nothing).given


@pytest.mark.parametrize("bad", ["sk-can\nary", "sk-can\0ary", "sk-cänary"])
def test_a_key_no_header_can_carry(bad: str):
    """
    It is refused as it is loaded, without being repeated.
    """
    with pytest.raises(ConfigurationError) as caught:
        Credentials(bad)
    assert "can" not in str(caught.value).replace("cannot", "").replace("scan", "")
    assert caught.value.__context__ is None


@pytest.mark.parametrize("vault", [Vault(KEY), AsyncVault(KEY)])
def test_a_callable_is_asked_once_for_everybody(vault: Vault):
    """
    Twenty callers at once, sync or async: one question, one answer.
    """

    async def story() -> None:
        credentials = Credentials(vault)
        assert credentials.given
        assert not credentials.fresh()
        await asyncio.gather(*(credentials.refresh() for _ in range(20)))
        await credentials.refresh()

        assert vault.asked == 1
        assert revealed(credentials) == KEY

    run(story)


def test_a_lambda_around_a_coroutine():
    """
    A sync callable that returns an awaitable is one way to write an async one.
    """

    async def story() -> None:
        vault = AsyncVault(KEY)
        credentials = Credentials(lambda: vault())
        await credentials.refresh()
        assert revealed(credentials) == KEY

    run(story)


def test_one_impatient_caller_takes_nothing_from_the_others():
    """
    Cancelling the caller who happened to ask leaves the answer to those who wait.
    """

    async def story() -> None:
        asked = asyncio.Event()
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def vault() -> str:
            asked.set()
            return await answer

        credentials = Credentials(vault)
        first = asyncio.create_task(credentials.refresh())
        second = asyncio.create_task(credentials.refresh())
        await asked.wait()
        first.cancel()
        await asyncio.sleep(0)
        answer.set_result(KEY)
        await second

        assert first.cancelled()
        assert revealed(credentials) == KEY

    run(story)


def test_a_key_grows_old():
    """
    After its life it is asked for again, by one caller.
    """

    async def story() -> None:
        vault = Vault(KEY, OTHER)
        credentials = Credentials(vault, life_s=0.0)
        await credentials.refresh()
        assert not credentials.fresh()
        await asyncio.gather(*(credentials.refresh() for _ in range(20)))

        assert vault.asked == 2
        assert revealed(credentials) == OTHER

    run(story)


def test_a_refused_key_is_asked_for_once():
    """
    Fifty calls meet a 401 with one key: one question; a vault that repeats itself ends it.
    """

    async def story() -> None:
        vault = Vault(KEY, OTHER, OTHER)
        credentials = Credentials(vault)
        await credentials.refresh()
        old = credentials.key

        assert all(await asyncio.gather(*(credentials.renew(old) for _ in range(50))))
        assert vault.asked == 2
        assert revealed(credentials) == OTHER

        new = credentials.key
        assert not any(await asyncio.gather(*(credentials.renew(new) for _ in range(50))))
        assert not await credentials.renew(new)
        assert vault.asked == 3

    run(story)


def test_a_vault_that_fails(caplog: pytest.LogCaptureFixture):
    """
    Without an older key nothing can be sent; with one it stays in use, and the reason is logged without the key.
    """

    async def story() -> None:
        with pytest.raises(ConfigurationError, match="it raised OSError") as caught:
            await Credentials(Vault(OSError(KEY))).refresh()
        assert KEY not in str(caught.value)
        assert caught.value.__context__ is None

        with pytest.raises(ConfigurationError, match="not text"):
            await Credentials(Vault(5)).refresh()  # type: ignore[arg-type]

        credentials = Credentials(Vault(KEY, OSError(KEY)))
        await credentials.refresh()
        assert not await credentials.renew(credentials.key)
        assert revealed(credentials) == KEY

    with caplog.at_level(logging.DEBUG):
        run(story)
    assert "the last key stays in use" in caplog.text
    assert KEY not in caplog.text


def test_a_vault_that_does_not_answer():
    """
    It has a time limit, after which the call fails and not the client.
    """

    async def story() -> None:
        began = time.monotonic()
        with pytest.raises(ConfigurationError, match="no key within"):
            await Credentials(asyncio.Event().wait, patience_s=0.02).refresh()  # type: ignore[arg-type]
        assert time.monotonic() - began < 1

    run(story)


def test_a_vault_that_was_cancelled_inside():
    """
    Nobody who waits for the key was cancelled, so nobody is told so; a failure it is.
    """

    async def ask() -> str:
        raise asyncio.CancelledError

    async def story() -> None:
        with pytest.raises(ConfigurationError, match="it was cancelled"):
            await Credentials(ask).refresh()

    run(story)


def test_when_it_is_stopped_whoever_waits_is_told():
    """
    The vault is asked no longer, and it is asked anew when somebody wants the key again.
    """
    asked: list[asyncio.Task[Any] | None] = []

    async def slow() -> str:
        asked.append(asyncio.current_task())
        await asyncio.sleep(0.01 if len(asked) > 1 else 3600)
        return KEY

    async def story() -> None:
        credentials = Credentials(slow)
        waiting = [asyncio.create_task(credentials.refresh()) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        credentials.stop()
        for one in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(one, Closed)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1
        credentials.stop()
        await credentials.refresh()
        assert revealed(credentials) == KEY

    run(story)


def test_a_refused_key_stays_refused_when_the_asking_is_stopped():
    """
    The call ends with what the server said of its key.
    """

    async def story() -> None:
        vault = AsyncVault(KEY, OTHER)
        credentials = Credentials(vault)
        await credentials.refresh()
        renewing = asyncio.create_task(credentials.renew(credentials.key))
        await asyncio.sleep(0)
        credentials.stop()
        assert not await renewing

    run(story)


@pytest.mark.parametrize("turns", [0, 1])
def test_when_the_asking_is_cancelled_from_elsewhere_nobody_waits_for_ever(turns: int):
    """
    Some program cancelled every task there was, also one that had not begun.
    """

    async def story() -> None:
        credentials = Credentials(AsyncVault(KEY))
        waiting = asyncio.create_task(credentials.refresh())
        await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task(), waiting}:
            task.cancel()
        await asyncio.wait([waiting], timeout=10)
        assert waiting.cancelled()

    run(story)


def test_a_failure_that_nobody_waits_for_is_nobodys_error():
    """
    Those who asked were cancelled; the event loop has nothing to complain about.
    """
    complaints: list[dict[str, Any]] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        credentials = Credentials(AsyncVault(OSError()))
        waiting = asyncio.create_task(credentials.refresh())
        await asyncio.sleep(0)
        waiting.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        gc.collect()

    run(story)
    assert not complaints
