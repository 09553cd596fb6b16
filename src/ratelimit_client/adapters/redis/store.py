"""
Budgets in a Redis or Valkey.

Law of this file: one question is one ``EVALSHA``, whatever it asks about, and is executed
once: a script that ran and whose answer was lost knows the number of the call. Nothing but
the store's own time and this process's own monotonic clock counts.

Theory. A connection is made beside the questions and outlives their deadline, so a store
far away, behind TLS and a login, is reached in the end although no question waits that long.
One that broke is made anew, and the question asked again, once.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

from ...core.lease import Call, Lease
from ...errors import ConfigurationError, RateLimitClientError, StoreUnavailable
from .address import Address
from .extra import needed
from .failures import told
from .wire import read, write

SCHEMA = 1
"""Part of every key: versions that write something else into a budget do not share."""

_NAME = re.compile(r"[A-Za-z0-9_.:@/-]{1,100}")


def script() -> str:
    """The text of the script."""
    return resources.files(__package__).joinpath("lease.lua").read_text("ascii")


class RedisStore:
    """
    One budget for all processes that name the same store and the same *name*.

        store = RedisStore("redis://localhost:6379/0", name="production")
        limiter = Limiter(per_minute(requests=500, tokens=200_000), store=store)

    Several limiters may use it; each leases for itself. Calls wait for no store: it is asked
    in the background, once a second, and a call that comes to an empty lease waits at most
    250 ms for it.

    Args:
        url: redis://, rediss:// (TLS), unix://, redis+sentinel:// or redis+cluster://; see
            docs/shared-budget.md. A password in it is shown nowhere.
        name: what is shared under: one for each organization and project at one API. Limits
            of different models are kept apart by themselves.
        on_store_failure: while it cannot be reached, "share": calls go on at their rate and
            come, within five seconds, to this process's part of nine tenths of the limit;
            "stop": none is sent beyond what is leased.
        workers: how many processes to share with, as long as the store could never be asked.

    Raises:
        ConfigurationError: the URL or another argument is none, or redis-py is not installed.
    """

    def __init__(self, url: str, *, name: str = "default", on_store_failure: str = "share", workers: int = 4) -> None:
        self._address = Address(url)
        url = ""
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"{name[:100]!r} is no name of a budget: letters, digits and _.:@/- make one")
        if on_store_failure not in ("share", "stop"):
            raise ConfigurationError(f'on_store_failure is "share" or "stop", not {on_store_failure!r:.40}')
        if type(workers) is not int or workers < 1:
            raise ConfigurationError(f"workers is a whole number of 1 or more; got {workers!r:.40}")
        needed("redis.asyncio")
        self.name = name
        self.on_store_failure = on_store_failure
        self.workers = workers
        self._script = script()
        self._sha = hashlib.sha1(self._script.encode("ascii"), usedforsecurity=False).hexdigest()
        self._connecting: asyncio.Task[Any] | None = None
        self._owner: tuple[int, asyncio.AbstractEventLoop] | None = None

    def key(self, budget: str) -> str:
        """Where a budget is kept: all of one name in one slot of a cluster."""
        return f"ratelimit_client:{SCHEMA}:{{{self.name}}}:{budget}"

    def keys(self, budgets: Sequence[str]) -> list[str]:
        """What the script touches: the budgets, then what processes tell of each."""
        kept = [self.key(budget) for budget in budgets]
        return [*kept, *(f"{key}:told" for key in kept)]

    async def renew(self, call: Call) -> Sequence[Lease]:
        """
        Report and lease, all budgets in one round trip.

        Cancelled, the connection is dropped with the answer that was on its way.

        Raises:
            StoreUnavailable: it could not be reached, or answered nonsense.
            ConfigurationError: it can be reached and never used this way.
        """
        keys = self.keys([renewal.budget for renewal in call.renewals])
        said = [call.process, str(call.number), str(call.ttl_us), *(write(renewal) for renewal in call.renewals)]
        _, *texts = await self._run(keys, said)
        try:
            return [read(renewal.budget, text) for renewal, text in zip(call.renewals, texts, strict=True)]
        except ValueError:
            pass
        raise StoreUnavailable(f"the store {self._address} answered something that is no lease")

    async def check(self) -> None:
        """
        Whether it can be used, before the first call.

        Raises:
            StoreUnavailable: it cannot be reached within five seconds.
            ConfigurationError: it can never be used this way.
        """
        await self._run(self.keys(["check"]), ["check", "0", "1", "r 0 0 1"])

    async def look(self) -> str | None:
        """
        Whether it can be used, before the first call: None, or why calls begin without it.

        Raises:
            ConfigurationError: it can never be used this way.
            StoreUnavailable: it cannot be reached, and without it no call is to be sent.
        """
        try:
            await self.check()
        except StoreUnavailable as error:
            if self.on_store_failure == "stop":
                raise
            return str(error)
        return None

    async def close(self) -> None:
        """Let go of the connection; what is leased is given back by the limiters, before. Idempotent."""
        task, self._connecting = self._connecting, None
        if task is None or self._owner != self._here():
            return
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is None:
            await _close(task.result())

    def __repr__(self) -> str:
        return f"<RedisStore {self._address} {self.name}>"

    # -- connections --------------------------------------------------------------------

    def _here(self) -> tuple[int, asyncio.AbstractEventLoop]:
        return os.getpid(), asyncio.get_running_loop()

    async def _run(self, keys: list[str], said: list[str]) -> list[str]:
        failure: RateLimitClientError | None = None
        for _ in range(2):
            try:
                client = await self._connected()
                answer = await self._evaluate(client, keys, said)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a driver raises is told in our words
                failure = told(error, self._address.shown)
            else:
                if isinstance(answer, list) and all(isinstance(each, str) for each in answer) and answer:
                    return answer
                failure = StoreUnavailable(f"the store {self._address} answered something that is no lease")
            await self._drop()
            if not isinstance(failure, StoreUnavailable):
                break
        assert failure is not None, "there was an answer, or a reason for none"
        raise failure

    async def _evaluate(self, client: Any, keys: list[str], said: list[str]) -> Any:
        exceptions = needed("redis.exceptions")
        try:
            return await client.evalsha(self._sha, len(keys), *keys, *said)
        except exceptions.NoScriptError:
            pass  # flushed, restarted, or failed over: it is taught again
        return await client.eval(self._script, len(keys), *keys, *said)

    async def _connected(self) -> Any:
        """The client, once it has been heard of; a failed attempt is told once and begun anew by the next question."""
        here = self._here()
        if self._connecting is None or self._owner != here:
            # Sockets of another process or loop are not ours to touch.
            self._owner = here
            self._connecting = here[1].create_task(self._connect(), name="connection to a store of budgets")
            self._connecting.add_done_callback(_look_at)
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> Any:
        client = self._address.connect()
        try:
            await client.ping()
        except BaseException:
            await _close(client)
            raise
        return client

    async def _drop(self) -> None:
        """The connection is of no use any more."""
        task, self._connecting = self._connecting, None
        if task is not None and task.done() and not task.cancelled() and task.exception() is None:
            await _close(task.result())
        elif task is not None and not task.done():
            self._connecting = task


def _look_at(task: asyncio.Task[Any]) -> None:
    """An exception that nobody waited for is no news."""
    if not task.cancelled():
        task.exception()


async def _close(client: Any) -> None:
    """The client, and with it those that asked the sentinels."""
    pool = getattr(client, "connection_pool", None)
    manager = getattr(pool, "sentinel_manager", None)
    for each in (client, *getattr(manager, "sentinels", ())):
        try:
            await each.aclose()
        except Exception:  # noqa: BLE001 - it is gone either way
            pass
