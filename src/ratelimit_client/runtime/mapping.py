"""
One function over many rows, and one result for each.

Law of this file: every row that was taken gives exactly one result, and rows are
taken only as they are needed. What is under way when the block is left is
cancelled and waited for, so nothing runs on behind it.

Theory. What works holds the rows (``rows``) and never this iterator, so an iterator
that nobody has any more is collected, and ends what it began.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Generic, Literal, Self

from .desk import Desk
from .rows import LOOK_AHEAD, MOST_HELD, Result, Row, Rows, T

__all__ = ["LOOK_AHEAD", "MOST_HELD", "Result", "Results"]


class Results(Generic[Row, T]):
    """
    The results of ``map``: an async iterator, and a context manager that cleans up.

    Leaving ``async with`` early cancels the rows under way and waits until they have
    ended. Without it they are cancelled as the iterator is collected, and nobody
    waits for them. Several tasks may share one iterator; each result goes to one.
    """

    __slots__ = ("_raises", "_rows")

    def __init__(
        self,
        desk: Desk,
        run: Callable[[Row], Awaitable[T]],
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        ordered: bool = False,
        on_error: Literal["yield", "raise"] = "yield",
        tenant: str | None = None,
    ) -> None:
        self._raises = on_error == "raise"
        self._rows: Rows[Row, T] = Rows(desk, run, rows, ordered=ordered, tenant=tenant or "")
        if on_error not in ("yield", "raise"):
            raise ValueError(f"on_error is 'yield' or 'raise', not {on_error!r}")

    async def __aenter__(self) -> Self:
        self._rows.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result[Row, T]:
        """
        The next result; waits until a row is finished.

        Cancelled here, nothing is lost: the next call goes on where this one stopped.

        Raises:
            Whatever the rows' own iterator raised, after the rows it gave.
            A row's error, when ``on_error="raise"``; the others are cancelled then.
        """
        rows = self._rows
        rows.start()
        while (result := rows.take()) is None:
            if rows.over:
                await rows.close()
                if rows.error is not None:
                    raise rows.error
                raise StopAsyncIteration
            await rows.news()
        if self._raises and result.error is not None:
            await rows.close()
            raise result.error
        return result

    async def close(self) -> None:
        """
        Cancel what is under way and wait until it has ended. Idempotent.

        Whoever waits for a result elsewhere is told that there are no more.
        """
        await self._rows.close()

    def __del__(self) -> None:
        self._rows.forgotten()

    def __repr__(self) -> str:
        return f"<Results of map: {self._rows!r}>"
