"""
An event loop whose time is a number and whose network is memory.

Law of this file: the clock moves only when nothing can run, and then straight to the next
timer. Between two timers everything happens at one instant; so a program that waits an
hour takes a millisecond, and an answer after exactly 2 s comes after exactly 2 s.

    result, loop = run_virtual(main)          # main is an async function; aiohttp works in it
    assert loop.elapsed_s == 30.0

What is noticed here and not on a real loop:

* *deadlock*: nothing can run and no timer is set. `Deadlock` names the tasks that wait;
* *livelock*: a million turns without the clock moving, or the horizon was passed;
* *errors nobody sees*: what would go to the loop's exception handler ends the run.

Executors run in line. Not simulated: TLS, signals, threads, subprocesses, real DNS.
Seeds: 0 runs tasks in asyncio's own order; any other seed shuffles the tasks that are
ready at one instant, which no program may depend on.
"""

from __future__ import annotations

import asyncio
import socket
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, TypeVarTuple

import attrs

from .network import VirtualNetwork, VirtualServer
from .transports import FakeSocket, VirtualTransport
from .turns import Deadlock, VirtualTime
from .wires import Route

__all__ = ["Deadlock", "LeftBehind", "VirtualLoop", "run_virtual"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_HORIZON_S = 30 * 86_400.0
_MAX_TURNS = 1_000_000


@attrs.frozen
class LeftBehind:
    """
    What a program had not tidied up when it returned: tasks that still ran (by name), timers that
    were set, ends of connections that were open.
    """

    tasks: tuple[str, ...] = ()
    timers: int = 0
    transports: int = 0

    def __bool__(self) -> bool:
        return bool(self.tasks or self.timers or self.transports)


class VirtualLoop(VirtualTime):
    """
    An asyncio event loop in virtual time.

    Args:
        seed: 0 keeps asyncio's order of tasks; any other shuffles it.
        horizon_s: a run that is not over after so many virtual seconds is given up.
        max_turns: so is one that turns more often than that at one instant.

    ``clock`` tells the time and may be advanced by a test that wants the loop to have been
    blocked; ``net`` is the network; ``left_behind`` is what the program of `run_virtual` left.
    A function in ``on_instant`` is called whenever all that can happen at one instant has
    happened, so a test may look at its invariants then; it must change nothing.
    """

    def __init__(self, *, seed: int = 0, horizon_s: float = _HORIZON_S, max_turns: int = _MAX_TURNS) -> None:
        super().__init__(seed=seed, horizon_s=horizon_s, max_turns=max_turns)
        self.net = VirtualNetwork(self, seed)
        self.left_behind = LeftBehind()
        self._connecting: weakref.WeakKeyDictionary[Any, tuple[tuple[str, int], Route, int]]
        self._connecting = weakref.WeakKeyDictionary()

    def close(self) -> None:
        super().close()
        self.net.shut_down()

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run *func* at once, in line: a thread would bring the machine's own time and order into the run."""
        self._check_open()
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - the caller gets it, as from a thread
            future.set_exception(error)
        return future

    def set_default_executor(self, executor: Any) -> None:
        """Executors run in line."""

    def look_behind(self, *but: asyncio.Task[Any] | None) -> LeftBehind:
        """What has not ended yet, but for the tasks named."""
        tasks = sorted(task.get_name() for task in asyncio.all_tasks(self) if task not in but)
        return LeftBehind(tuple(tasks), self.pending_timers, self.net.open_transports)

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        address = "127.0.0.1" if host is None else self.net.lookup(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, int(port or 0)))]

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Connect *sock*, a fake one or a real one that stands for it."""
        where = (address[0], address[1])
        self._connecting[sock] = (where, *await self.net.connect(where))

    async def create_connection(
        self,
        protocol_factory: Callable[[], Any],
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        **options: Any,
    ) -> tuple[VirtualTransport, Any]:
        if ssl:
            raise NotImplementedError("a virtual network has no TLS: use http://")
        if sock is None:
            sock = FakeSocket()
            await self.sock_connect(sock, (self.net.lookup(host or "127.0.0.1"), port))
        where, route, number = self._connecting.pop(sock)
        sock.close()
        return self.net.join(protocol_factory, where, route, number)

    async def create_server(  # type: ignore[override]  # what servers of tests pass, and no more
        self,
        protocol_factory: Callable[[], Any],
        host: Any = None,
        port: int | None = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        **options: Any,
    ) -> VirtualServer:
        if ssl:
            raise NotImplementedError("a virtual network has no TLS: use http://")
        if sock is not None:
            raise NotImplementedError("a virtual network takes no socket: give host and port")
        return self.net.listen(protocol_factory, host, port)


def run_virtual(
    main: Callable[[], Coroutine[Any, Any, T]],
    *,
    seed: int = 0,
    horizon_s: float = _HORIZON_S,
    max_turns: int = _MAX_TURNS,
) -> tuple[T, VirtualLoop]:
    """
    Run an async function on a `VirtualLoop` of its own; the arguments are the loop's.

    Returns:
        What *main* returned, and the loop, closed: ``loop.elapsed_s``, ``loop.net.digest``,
        ``loop.left_behind``.

    Raises:
        Deadlock: the program could never go on.
        RuntimeError: something failed where nobody sees it (a callback, a forgotten task).
    """
    loop = VirtualLoop(seed=seed, horizon_s=horizon_s, max_turns=max_turns)

    async def tidily() -> T:
        result = await main()
        await asyncio.sleep(0)  # whatever was closed last ends in the next turn
        loop.left_behind = loop.look_behind(asyncio.current_task())
        return result

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            result = runner.run(tidily())
        except BaseException:
            # What goes wrong while the rest is cancelled must not hide why.
            loop.set_exception_handler(lambda _, context: None)
            raise
    return result, loop
