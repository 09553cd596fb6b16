"""
The key of a client: where it comes from and when it is asked for again.

Law of this file: a key is held as a ``Secret`` and belongs to one client, which
talks to one origin. Whoever provides keys is asked by one caller at a time, has
a time limit, and is not asked again for a key it has just given, so that neither
a slow vault nor a revoked key turns into a storm.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable

from ...errors import Closed, ConfigurationError, RateLimitClientError
from ...runtime.logs import fields
from ...runtime.secret import Secret

KeySource = str | Callable[[], str | Awaitable[str]]

_Outcome = asyncio.Future[RateLimitClientError | None]
_log = logging.getLogger("ratelimit_client")


class Credentials:
    """
    The key to send, now.

    Args:
        source: the key, or a sync or async callable that returns it; None for no key at all.
            A sync callable runs in a thread, because vaults are read over the network.
        life_s: seconds a key from a callable is used before it is asked for again.
        patience_s: seconds a callable may take.
    """

    def __init__(self, source: KeySource | None, *, life_s: float = 60.0, patience_s: float = 30.0) -> None:
        # First, because a traceback may ask an unfinished one for its repr.
        self._key: Secret | None = None
        self._ask = source if callable(source) else None
        try:
            if isinstance(source, str) and source.strip():
                self._key = _secret(source)
        finally:
            del source  # a traceback that shows locals shows this one
        self._life_s = life_s
        self._patience_s = patience_s
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._outcome: _Outcome
        self._refused: Secret | None = None

    def __repr__(self) -> str:
        return f"<Credentials {self._key!r}{', from a callable' if self._ask else ''}>"

    @property
    def given(self) -> bool:
        """Is there a key, or somebody to ask for one?"""
        return self._key is not None or self._ask is not None

    @property
    def key(self) -> Secret | None:
        """The key as it is now; None when there is none."""
        return self._key

    def fresh(self) -> bool:
        """May the key be used without asking? Always true of a key that was typed in."""
        return self._ask is None or asyncio.get_running_loop().time() - self._asked_at < self._life_s

    async def refresh(self) -> None:
        """
        Make the key fresh; callers that come meanwhile wait for the same answer.

        A provider that fails while an older key is at hand costs a log line: the
        older key is used until the server refuses it.

        Raises:
            ConfigurationError: there is no older key.
            Closed: ``stop`` was called meanwhile.
        """
        if not self.fresh():
            await self._ask_once()

    async def renew(self, refused: Secret | None) -> bool:
        """
        After a 401: is there a key now that is not the refused one?

        The provider is asked once for each refused key, however many calls it was
        refused to.
        """
        if self._ask is None or refused is None:
            return False
        if self._key == refused and self._refused != refused:
            with contextlib.suppress(Closed):  # then the refusal is how the call ended
                await self._ask_once()
            self._refused = refused
        return self._key != refused

    def stop(self) -> None:
        """Ask no longer: whoever waits for the key learns that the client was closed."""
        asking, self._asking = self._asking, None
        if asking is not None and asking.get_loop() is asyncio.get_running_loop():
            asking.cancel()
            _tell(
                self._outcome, Closed("the client was closed while the call waited for its API key; nothing was sent")
            )

    async def _ask_once(self) -> None:
        loop = asyncio.get_running_loop()
        if self._asking is None or self._asking.get_loop() is not loop:
            self._outcome = outcome = loop.create_future()
            self._asking = loop.create_task(self._fetch(outcome), name="ratelimit-client-key")
            # Cancelled from elsewhere, maybe before it began: whoever waits must not wait for ever.
            self._asking.add_done_callback(lambda _: outcome.cancel())
        # Shielded: one impatient caller must not take the answer away from the others.
        failure = await asyncio.shield(self._outcome)
        if failure is not None:
            raise failure

    async def _fetch(self, outcome: _Outcome) -> None:
        assert self._ask is not None
        me = asyncio.current_task()
        try:
            async with asyncio.timeout(self._patience_s):
                self._key = _secret(await _call(self._ask))
        except ConfigurationError as error:
            problem = str(error)
        except TimeoutError:
            problem = f"it gave no key within {self._patience_s:g} s"
        except asyncio.CancelledError:
            # Something inside the callable was cancelled, and nobody who waits for the key was.
            if me is None or me.cancelling():
                raise
            problem = "it was cancelled"
        except Exception as error:  # noqa: BLE001 - a provider may raise anything, and its text may hold the key
            problem = f"it raised {type(error).__name__}"
        else:
            problem = ""
        finally:
            if self._asking is me:
                self._asking = None
                self._asked_at = asyncio.get_running_loop().time()

        failure = None
        if problem and self._key is None:
            self._asked_at = float("-inf")
            failure = ConfigurationError(f"the api_key callable failed: {problem}; nothing was sent")
        elif problem:
            extra = fields("api_key_failed", error=problem)
            _log.warning("the api_key callable failed (%s); the last key stays in use", problem, extra=extra)
        _tell(outcome, failure)


def _tell(outcome: _Outcome, failure: RateLimitClientError | None) -> None:
    # A result also when it is an error: those who asked may all be gone, and then nobody would take note of it.
    if not outcome.done():
        outcome.set_result(failure)


async def _call(ask: Callable[[], str | Awaitable[str]]) -> str:
    if inspect.iscoroutinefunction(ask):
        given = await ask()
    else:
        given = await _in_a_thread(ask)
        if inspect.isawaitable(given):
            given = await given
    if not isinstance(given, str):
        raise ConfigurationError(f"it returned a {type(given).__name__}, not text")
    return given


async def _in_a_thread(ask: Callable[[], object]) -> object:
    """What *ask* returns; when that is a coroutine, and nobody is there any more to await it, it is closed."""
    brought: list[object] = []
    left = False

    def fetch() -> None:
        brought.append(ask())
        if left:
            _close(brought)

    try:
        await asyncio.to_thread(fetch)
    except asyncio.CancelledError:
        left = True
        _close(brought)
        raise
    return brought[0]


def _close(brought: list[object]) -> None:
    for given in brought:
        if inspect.iscoroutine(given):
            given.close()


def _secret(value: str) -> Secret:
    """Wrap *value*; when that fails, no frame of the error holds it."""
    try:
        return Secret(value)
    except ConfigurationError as error:
        problem = str(error)
    del value
    raise ConfigurationError(problem)
