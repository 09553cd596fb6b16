"""
The tenacity bridge: our decisions, tenacity's loop.

Law of this file: tenacity is a guest. It is imported here and nowhere else, runs
from the second attempt on, and is handed four objects of ours: ``retry``, ``wait``,
``stop`` and ``sleep``. They neither read its clock nor throw its dice, so virtual
time and seeds hold. Each call makes a fresh loop, because a shared one serves only
one of its concurrent callers.

``retry`` has nothing left to decide: what may not be retried never gets here.
``wait`` is the larger of our wait and the policy's, ``stop`` the policy's, and
``sleep`` is no sleep at all: it puts the call's ticket back into the queue and
returns when its turn has come. So nothing sleeps while it holds a place.

A cancellation is never told to tenacity, whose predicates may swallow it; it passes
through ``sleep`` like through any other await.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import tenacity

from ..core.retry import RetryPolicy

Requeue = Callable[[float], Awaitable[None]]
"""Wait in the queue, no turn earlier than so many seconds from now."""


class RetryLoop:
    """
    tenacity's loop over the attempts of one call, from its first failure on.

    Args:
        policy: its ``stop`` and ``wait`` are the user's, tenacity objects or None.
        requeue: waits for the next turn.
        elapsed_s: seconds since the call began, by the limiter's clock.
    """

    __slots__ = ("_elapsed_s", "_least_wait_s", "_loop", "_manager", "_policy", "_requeue")

    def __init__(self, policy: RetryPolicy, requeue: Requeue, elapsed_s: Callable[[], float]) -> None:
        self._policy = policy
        self._requeue = requeue
        self._elapsed_s = elapsed_s
        self._least_wait_s = 0.0
        self._manager: tenacity.AttemptManager | None = None
        # Its types know plain strategies only; its loop awaits coroutines as well.
        wait: Any = self._wait
        stop: Any = self._stop
        self._loop = aiter(
            tenacity.AsyncRetrying(retry=_always, wait=wait, stop=stop, sleep=self._requeue, reraise=True)
        )

    async def next_turn(self, error: Exception, least_wait_s: float) -> None:
        """
        The attempt that failed with *error* is over: return when the next one may go.

        Raises:
            The same *error*, when the policy's ``stop`` says so. CancelledError, and
            whatever ends a wait in the queue, pass through.
        """
        self._least_wait_s = least_wait_s
        if self._manager is None:
            # tenacity counts the attempt that went before it as its first; it asks nothing and waits for nothing here.
            self._manager = await anext(self._loop)
        self._manager.__exit__(type(error), error, error.__traceback__)
        self._manager = await anext(self._loop)

    # -- what tenacity is given ----------------------------------------------------

    async def _wait(self, state: tenacity.RetryCallState) -> float:
        # The first of ours to be asked: what comes after finds our clock where it looks for tenacity's own.
        state.start_time, state.outcome_timestamp = 0.0, self._elapsed_s()
        wanted_s = 0.0 if self._policy.wait is None else await _ask(self._policy.wait, state)
        return max(self._least_wait_s, float(wanted_s))

    async def _stop(self, state: tenacity.RetryCallState) -> bool:
        return self._policy.stop is not None and bool(await _ask(self._policy.stop, state))


def _always(state: tenacity.RetryCallState) -> bool:
    return True


async def _ask(strategy: Callable[[tenacity.RetryCallState], Any], state: tenacity.RetryCallState) -> Any:
    """A strategy's answer; users' own may be coroutines."""
    answer = strategy(state)
    return await answer if inspect.isawaitable(answer) else answer
