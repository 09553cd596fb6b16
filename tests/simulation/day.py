"""
A day: the world of a seed, run in virtual time under the eyes of all checkers.

Law of this file: it sets up what the world says, lets it run until every call has ended,
closes everything as a tidy program does, and hands the result over. What goes wrong is told
by the checkers, by the loop (a deadlock, a livelock, an error nobody saw), or here (a call
that did not end).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Coroutine
from typing import Any

import aiohttp

from ratelimit_client import Client, Limiter, Timeout
from ratelimit_client.core.units import NS, to_ns
from ratelimit_client.testing import LeftBehind, VirtualLoop

from . import callers
from .check import Broken, Check
from .checks import ALL
from .guests import open_way
from .records import Record
from .serving import GATE, PORT, App, serving
from .stores import TroubledStore
from .talks import Talker
from .trace import Trace
from .watching import Ears, Watched, watch
from .weather import blow
from .world import GUESTS, OF_CLIENTS, Call, Gate, Happening, Party, Site, World

KEY = "sk-canary-0123456789abcdef"
OTHER_KEY = "sk-of-a-session-of-the-callers-own"  # whose errors show it, as aiohttp's do
_MAX_TURNS = 20_000
_QUIET_S = 20_000.0


class Day:
    """
    One run of one world.

    Args:
        checks: who looks on.
        tell: print everything that happens.
        kind: what the schedulers are; one that does something wrong shows that it is noticed.
    """

    def __init__(
        self,
        world: World,
        *,
        checks: tuple[type[Check], ...] = ALL,
        tell: bool = False,
        kind: type[Watched] = Watched,
    ) -> None:
        self.world = world
        self._kind = kind
        self.loop = VirtualLoop(seed=world.seed, max_turns=_MAX_TURNS)
        self.failure: Broken | None = None
        self.left_behind = LeftBehind()
        self.store = None if world.shared is None else TroubledStore(world.shared, world.seed)
        self.trace = Trace(self, tell=tell)
        self.ears = Ears([self.trace, Striker(self), *(check(self) for check in checks)])
        self.records = {call.mark: Record(call, party, party.gate) for party in world.parties for call in party.calls}
        self.apps: list[App] = []
        self.limiters: list[Limiter] = []
        self.clients: list[Client | None] = []
        self._at: list[Limiter] = []
        self.watched: list[Watched] = []
        self.stalled_s = 0.0

    def run(self) -> Day:
        """
        From morning to night.

        Raises:
            Broken: an invariant does not hold.
            Deadlock: nothing can go on, or it goes on for ever without time passing.
            RuntimeError: an error that nobody saw.
        """
        state = random.getstate()
        random.seed(self.world.seed)  # whoever makes limiters without dice of their own, as clients do, uses these
        try:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                try:
                    runner.run(self._whole())
                except BaseException:
                    # What goes wrong while the rest is cancelled must not hide why.
                    self.loop.set_exception_handler(lambda _, context: None)
                    raise
        except RuntimeError:
            if self.failure is None:
                raise
        finally:
            random.setstate(state)
        if self.failure is not None:
            raise self.failure
        return self

    @property
    def digest(self) -> str:
        """A hash of all that happened, where and when; of bytes too, but where websockets mask them by other dice."""
        masked = any(party.way == "realtime" for party in self.world.parties)
        return self.trace.digest("" if masked else self.loop.net.digest)

    @property
    def now_ns(self) -> int:
        return self.loop.clock.monotonic_ns()

    # -- what checkers and callers say ------------------------------------------------

    def broken(self, error: Broken) -> None:
        """The day is over; the first word counts."""
        if self.failure is None:
            self.failure = error
            self.loop.call_exception_handler({"message": "an invariant does not hold", "exception": error})

    def begins(self, record: Record) -> None:
        """A call is being made."""
        record.began_ns = self.now_ns
        self.ears.began(record)

    def ends(self, record: Record, *, text: str | None = None, error: BaseException | None = None) -> None:
        """A call has ended."""
        record.ends += 1
        record.text, record.error, record.ended_ns = text, error, self.now_ns
        self.ears.ended(record)

    # -- the run --------------------------------------------------------------------------

    async def _whole(self) -> None:
        blow(self.loop, self.world.weather, self.world.seed)
        self.loop.on_instant = lambda: self.ears.instant(self.now_ns)
        async with contextlib.AsyncExitStack() as stack:
            for site in self.world.sites:
                self.apps.append(await stack.enter_async_context(serving(site, self.loop, self.ears.arrived)))
            for number, gate in enumerate(self.world.gates):
                self._open(number, gate)
            posts = [await stack.enter_async_context(self._post(n, gate)) for n, gate in enumerate(self.world.gates)]
            ways = {
                at: await stack.enter_async_context(self._guests(*at))
                for at in dict.fromkeys((party.gate, party.way) for party in self.world.parties)
                if at[1] in GUESTS
            }
            self.ears.begins()
            happenings = asyncio.create_task(self._let_happen(), name="happenings")
            await self._until_all_ended(
                [task for party in self.world.parties for task in self._start(party, posts, ways)]
            )
            await happenings
            for client, limiter in zip(self.clients, self._at, strict=True):
                await (limiter.close() if client is None else client.close())
            for limiter in self.limiters:
                await limiter.close()
        await asyncio.sleep(_QUIET_S)  # what is still on a wire arrives
        self.loop.on_instant = None
        self.left_behind = self.loop.look_behind(asyncio.current_task())
        self.ears.rests()

    async def _until_all_ended(self, tasks: list[asyncio.Task[None]]) -> None:
        _, late = await asyncio.wait(tasks, timeout=self.world.lasts_s)
        if late:
            open_ = [record for record in self.records.values() if record.began_ns is not None and not record.ends]
            limiters = "\n".join(f"    {limiter!r}: {limiter.explain('gpt-4o')}" for limiter in self.limiters)
            names = "\n".join(f"    {record}" for record in open_[:10])
            self.broken(
                Broken(f"{len(open_)} calls have not ended {self.world.lasts_s:g} s later (I14):\n{names}\n{limiters}")
            )
            await asyncio.sleep(0)
        for task in tasks:
            task.result()

    # -- setting up ---------------------------------------------------------------------------

    def _open(self, number: int, gate: Gate) -> None:
        """Make a limiter, and the client before it."""
        site = self.world.sites[gate.site]
        headers = {GATE: str(number if gate.shares is None else gate.shares)}
        options: dict[str, Any] = {
            "api_key": KEY,
            "headers": headers,
            "timeout": Timeout(connect_s=gate.connect_s, idle_s=gate.idle_s),
            "allow_insecure": True,
            "organization": "",
            "project": "",
        }
        url = self._url(site)
        name = f"gate{number}"
        if gate.shares is not None:
            limiter = self._at[gate.shares]
            client: Client | None = Client(url, **options, limiter=limiter)
        elif gate.own:
            made = {key: value for key, value in gate.options.items() if key in _OF_CLIENT}
            client = Client(url, **options, **made, name=name, retry=gate.policy)
        else:
            dice = random.Random(f"limiter {number} {self.world.seed}").random
            limiter = Limiter(**gate.options, name=name, retry=gate.policy, dice=dice, store=self.store)
            client = Client(url, **options, limiter=limiter) if gate.client else None
        if client is not None:
            client._requests._names = callers.Names(str(number))  # type: ignore[assignment]
            limiter = client.limiter
        self._at.append(limiter)
        self.clients.append(client)
        if limiter not in self.limiters:
            self.limiters.append(limiter)
            self.watched.append(watch(limiter, number, self.ears, self._kind))

    @contextlib.asynccontextmanager
    async def _post(self, number: int, gate: Gate) -> Any:
        if gate.client:
            yield None
            return
        net = self.loop.net
        connector = aiohttp.TCPConnector(limit=0, resolver=net, socket_factory=net.socket_factory, use_dns_cache=False)
        timeout = aiohttp.ClientTimeout(total=300, sock_connect=gate.connect_s, sock_read=gate.idle_s)
        headers = {GATE: str(number), "Authorization": f"Bearer {OTHER_KEY}"}
        site = self.world.sites[gate.site]
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            yield callers.Post(session, self._url(site), headers)

    def _guests(self, number: int, way: str) -> Any:
        gate = self.world.gates[number]
        headers = {GATE: str(number), "Authorization": f"Bearer {OTHER_KEY}"}
        url = self._url(self.world.sites[gate.site])
        return open_way(way, gate, self._at[number], url, headers, self.loop.net, self._headed)

    def _headed(self, call: Call, headers: Any = None) -> None:
        record = self.records[call.mark]
        record.headed_ns = self.now_ns
        if headers is not None and "x-ratelimit-client-error" not in headers:  # else it is the proxy's own answer
            attempts = headers.get("x-ratelimit-client-attempts")
            record.attempts = None if attempts is None else int(attempts)

    def _url(self, site: Site) -> str:
        # By address: who waits for a name is woken by aiohttp in the order of a set.
        return f"http://{self.loop.net.add_host(site.name)}:{PORT}/v1"

    def _start(self, party: Party, posts: list[Any], ways: dict[tuple[int, str], Any]) -> list[asyncio.Task[None]]:
        records = [self.records[call.mark] for call in party.calls]
        client, limiter, post = self.clients[party.gate], self._at[party.gate], posts[party.gate]
        post = ways.get((party.gate, party.way), post)
        if party.way in ("map", "items"):
            whole = callers.through_map(self, party, records, client, limiter, post)  # type: ignore[arg-type]
            return [asyncio.create_task(whole, name=f"map of {records[0].mark}")]
        return [asyncio.create_task(self._one(record, client, limiter, post), name=record.mark) for record in records]

    async def _one(self, record: Record, client: Client | None, limiter: Limiter, post: Any) -> None:
        """One call in a task of its own, so that it can be cancelled without its record."""
        call = record.call
        await asyncio.sleep(call.at_s)
        self.begins(record)
        asked: Coroutine[Any, Any, str]
        if record.party.way == "realtime":
            assert client is not None
            asked = Talker(client, self.records.__getitem__, self._headed)(call)
        elif record.party.way in OF_CLIENTS:
            assert client is not None
            asked = callers.OF_ONE_CALL[record.party.way](client, call)
        elif record.party.way in GUESTS:
            asked = post(call)
        else:
            asked = callers.OF_LIMITERS[record.party.way](limiter, post, call)  # type: ignore[assignment]
        task = asyncio.create_task(asked, name=f"call {record.mark}")
        timer = None
        if call.cancel_s is not None:
            timer = self.loop.call_later(call.cancel_s, self.cancel, record, task)
        task.add_done_callback(lambda task: self._ended(record, task))
        await asyncio.wait([task])
        if timer is not None:
            timer.cancel()

    def cancel(self, record: Record, task: asyncio.Task[Any]) -> None:
        """Cancel the task of a call."""
        record.cancelled = task.cancel() or record.cancelled

    def _ended(self, record: Record, task: asyncio.Task[str]) -> None:
        if task.cancelled():
            self.ends(record, error=asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self.ends(record, error=error)
        else:
            self.ends(record, text=task.result())

    # -- what happens --------------------------------------------------------------------------

    async def _let_happen(self) -> None:
        """All of it in order, also where a stall has made several things late; what takes time is waited for last."""
        long: list[asyncio.Task[Any]] = []
        for happening in self.world.happenings:
            await asyncio.sleep(max(0.0, happening.at_s - self.loop.elapsed_s))
            if (what := self._happen(happening)) is not None:
                long.append(asyncio.create_task(what, name=f"{happening.what} at {happening.at_s:g}"))
        for task in long:
            await task

    async def _drain(self, of: int, timeout_s: float | None) -> None:
        client, limiter = self.clients[of], self._at[of]
        own = client is None or self.world.gates[of].own
        ended = await (client or limiter).drain(timeout_s)
        if ended and own and (limiter.queued or limiter.in_flight):
            self.broken(Broken(f"gate {of}: it was drained, and {limiter!r}"))

    def _happen(self, happening: Happening) -> Coroutine[Any, Any, Any] | None:
        loop, of, value = self.loop, happening.of, happening.value
        match happening.what:
            case "quotas":
                self._at[of].set_quotas(value)
            case "drain":
                return self._drain(of, value)
            case "close":
                closing = (self.clients[of] or self._at[of]).close()
                return closing if asyncio.iscoroutine(closing) else None
            case "end of input":
                for tenant in (None, "a", "b", "c"):
                    self._at[of].end_of_input(tenant)
            case "wall":
                loop.clock.set_wall(loop.clock.wall_ns() + round(value * NS))
            case "stall":
                self.stalled_s += value
                loop.clock.advance_to(loop.clock.monotonic_ns() + to_ns(value))
            case "cut off":
                loop.net.cut_off(self.world.sites[of].name)
            case "restore":
                loop.net.restore(self.world.sites[of].name)
            case _:
                assert self.store is not None, happening.what
                self.store.happens(happening.what, value, loop.time())
        return None


class Striker(Check):
    """No law, but a blow: the task of a call that is to be struck is cancelled at the instant of its grant."""

    def __init__(self, day: Day) -> None:
        super().__init__(day)
        self._victims: dict[tuple[int, int], tuple[Record, asyncio.Task[Any]]] = {}

    def submitted(self, of: Watched, ticket: Any, now_ns: int) -> None:
        task = asyncio.current_task()
        record = self.day.records.get(task.get_name().removeprefix("call ")) if task is not None else None
        if task is not None and record is not None and record.call.struck:
            self._victims[of.gate, ticket.seq] = (record, task)

    def granted(self, of: Watched, state: Any, ticket: Any, now_ns: int) -> None:
        record, task = self._victims.get((of.gate, ticket.seq), (None, None))
        if record is None or task is None:
            return
        if record.call.struck == "at grant":
            self.day.cancel(record, task)
        else:
            self.day.loop.call_soon(self.day.cancel, record, task)


_OF_CLIENT = frozenset({"quotas", "shared", "dialect", "max_in_flight"})
