"""
Rows of a Ray Data pipeline, answered within the limits.

    from ratelimit_client import Client, per_minute
    from ratelimit_client.adapters.ray import Answers

    def make():                                   # runs in each worker: no key is sent anywhere
        return Client(quotas=per_minute(requests=125))

    def ask(row):                                 # arguments of Client.request, or a line of a batch file
        return {"path": "/chat/completions", "json": {"model": "gpt-4o", "messages": [...row["text"]...]}}

    answered = rows.map_batches(Answers, fn_constructor_args=(make, ask), concurrency=4, batch_size=64)

Law of this file: every row of a batch gives one row, in its place. A call that failed
is a row with an error in it and fails no batch: Ray would begin the whole batch anew,
and pay for its answers a second time.

Theory. Ray makes one object of this class in each worker of the pool and awaits several
batches of it at once, so all calls of a worker go through one limiter. Workers know of
each other by what their clients share: a store, or the header's word and nothing else.
Each of four workers that share no store is to be given a quarter of the limit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

from ...errors import RateLimitClientError, ResponseError

STATUS: Final = "status_code"
BODY: Final = "response"
ERROR: Final = "error"

Row = dict[str, Any]
Ask = Callable[[Row], Mapping[str, Any]]


class Answers:
    """
    For ``map_batches``: the columns of a batch, and three more.

    ``response`` is the body of the answer as text, None when there was none; ``status_code`` its
    status, 0 when there was none; ``error`` the sentence of what failed, None for a success.

    While the limits let no call go, the batch waits. A worker that is killed loses its batches, and Ray
    runs them again.

    Args:
        make: makes the ``Client``, once in each worker.
        ask: what to send for a row: arguments of ``Client.request``, or a line of a batch file.
    """

    def __init__(self, make: Callable[[], Any], ask: Ask) -> None:
        self._client = make()
        self._ask = ask

    async def __call__(self, batch: Mapping[str, Sequence[Any]]) -> AsyncIterator[Mapping[str, Any]]:
        """Answer one batch."""
        count = len(next(iter(batch.values()), ()))
        asked = (self._ask({name: plain(column[index]) for name, column in batch.items()}) for index in range(count))
        statuses, bodies, errors = [0] * count, [None] * count, [None] * count
        found: dict[str, list[Any]] = {STATUS: statuses, BODY: bodies, ERROR: errors}
        async with self._client.map(asked) as results:
            async for result in results:
                _fill(found, result.index, result.reply, result.error)
        yield {**batch, **found}

    def __repr__(self) -> str:
        return f"<Answers by {self._client!r}>"


def _fill(found: dict[str, list[Any]], index: int, reply: Any, error: Exception | None) -> None:
    if error is None:
        found[STATUS][index], found[BODY][index] = reply.status, reply.text
        return
    if not isinstance(error, RateLimitClientError):
        raise error
    found[ERROR][index] = str(error)
    if isinstance(error, ResponseError):
        found[STATUS][index], found[BODY][index] = error.status, error.body_excerpt


def plain(value: Any) -> Any:
    """A value of a column as Python's own: a number of numpy is no number of JSON."""
    return value.item() if getattr(value, "shape", None) == () else value
