"""
What a day consists of.

Law of this file: facts only. A world is drawn once, from one number, and nothing is drawn
while it runs but by the dice that are told their number here; so a world can be printed,
compared, and cut down by hand until little is left of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ratelimit_client import Quota, RetryPolicy
from ratelimit_client.core.quota import Quotas

FIRST_WAYS = ("request", "map", "permit", "bare", "nowait", "attempts", "call", "limited", "items")
"""How a party makes its calls; ways that joined later take the place of some of these (see ``streams``, ``guests``)."""
WAYS = (*FIRST_WAYS, "stream", "session", "httpx", "realtime", "proxy")

OF_CLIENTS = frozenset({"request", "map", "stream", "realtime"})
"""Through a client; all others bring a session of their own."""
GUESTS = frozenset({"session", "httpx", "proxy"})
"""That session, or what stands before the server, asks the limiter by itself."""
HIDES_BODIES = frozenset({"limited", "items"})
DAWDLES_S = 0.2
"""How late a guest reads an answer."""
TRIES_ONCE = frozenset({"permit", "bare", "nowait"})


@attrs.frozen(kw_only=True)
class Site:
    """
    A server.

    Args:
        name: its host.
        limits: what it holds.
        options: how, as `ModelServer` takes it.
        tongue: whose headers it writes (see ``tongues``).
        ahead_s: how far its own clock is ahead of the true date.
    """

    name: str
    limits: Quotas
    options: Mapping[str, Any] = attrs.field(factory=dict)
    tongue: str = "openai"
    ahead_s: float = 0.0

    @property
    def every_limit(self) -> list[Quota]:
        """Those that hold from the beginning, and those that hold later."""
        change = self.options.get("changes")
        return [*self.limits, *(change.limits if change is not None else ())]


@attrs.frozen(kw_only=True)
class Gate:
    """
    A limiter, or a client that makes its own, and the server its calls go to.

    Args:
        site: the number of the server.
        options: what the limiter is made with.
        client: a client stands before it.
        own: the client makes it, from the same options.
        shares: the number of an earlier gate whose limiter it uses, or None.
        policy: what its calls outlive.
        connect_s, idle_s: how long its calls wait for the wire.
    """

    site: int
    options: Mapping[str, Any] = attrs.field(factory=dict)
    client: bool = True
    own: bool = False
    shares: int | None = None
    policy: RetryPolicy = attrs.field(factory=RetryPolicy)
    connect_s: float = 5.0
    idle_s: float = 30.0

    @property
    def quotas(self) -> Quotas:
        """What was typed for each key."""
        return Quotas.of(self.options.get("quotas", ()))


@attrs.frozen(kw_only=True)
class Call:
    """
    One logical call.

    Args:
        mark: its name, which the answer repeats.
        at_s: when it is made.
        model: what for.
        chars, max_tokens: its size.
        tokens: the cost that is stated, or None.
        priority, tenant, deadline_s: as `Limiter.permit` takes them.
        cancel_s: how long after its beginning its task is cancelled; None: never.
        struck: "at grant" or "before waking": its task is cancelled as its turn comes, before the grant is told to
            it, or after that and before it runs.
        quirk: "settles", "unsent" or "finishes": what is done inside a permit beside the call. Of a guest: "once", its
            body can be sent once; "dawdles", it reads the answer late; "leaves", not at all; "puts", by a method that
            aiohttp repeats on its own; "streams", the answer comes in events; "glances", the same, and it leaves
            after the first.
        total_s: the total timeout that aiohttp is given for it, or None.
        turns: of a realtime session: how many responses it asks for.
    """

    mark: str
    at_s: float
    model: str = "gpt-4o"
    chars: int = 40
    max_tokens: int | None = None
    tokens: int | None = None
    priority: int = 0
    tenant: str | None = None
    deadline_s: float | None = None
    cancel_s: float | None = None
    struck: str = ""
    quirk: str = ""
    total_s: float | None = None
    turns: int = 1


@attrs.frozen(kw_only=True)
class Party:
    """
    Somebody who makes calls.

    Args:
        gate: the number of the limiter.
        way: one of `WAYS`.
        calls: in the order of their instants.
        leaves_s: of a map: when the block is left early; None: not before its end.
    """

    gate: int
    way: str
    calls: tuple[Call, ...]
    leaves_s: float | None = None


@attrs.frozen(kw_only=True)
class Weather:
    """
    The network.

    Args:
        latency_s, jitter_s: of every wire.
        kinds: what else may befall a connection, each with its weight (see ``weather``).
        heals_s: from then on connections are sound.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    kinds: Mapping[str, float] = attrs.field(factory=dict)
    heals_s: float = 0.0


@attrs.frozen(kw_only=True)
class Happening:
    """
    Something that happens at an instant.

    Args:
        what: "quotas", "drain", "close", "end of input", "expect", "wall", "stall", "cut off", "restore",
            "store gone", "store back", "store forgets", "store skew".
        of: the number of the limiter or server.
        value: seconds, or quotas.
    """

    at_s: float
    what: str
    of: int = 0
    value: Any = None


@attrs.frozen(kw_only=True)
class Shared:
    """
    A store through which all limiters share their budgets.

    Args:
        latency_s: a way takes no longer.
        loses: the share of questions that are lost, of answers, and of questions that arrive twice.
        goes_on: without it limiters go on with their parts; else they stop.
    """

    latency_s: float = 0.0
    loses: float = 0.0
    goes_on: bool = True


@attrs.frozen(kw_only=True)
class World:
    """
    A day.

    Args:
        seed: what it was drawn from; also of all that is left to chance while it runs.
        ends_s: all trouble is over by then.
        lasts_s: and soon after, by this instant, every call has to have ended.
        calm: nothing breaks, nobody lies, and there is one honest server and one limiter.
        shared: the store of all limiters, or None.
    """

    seed: int
    sites: tuple[Site, ...]
    gates: tuple[Gate, ...]
    parties: tuple[Party, ...]
    weather: Weather = attrs.field(factory=Weather)
    happenings: tuple[Happening, ...] = ()
    ends_s: float = 0.0
    lasts_s: float = 3600.0
    calm: bool = False
    shared: Shared | None = None

    @property
    def calls(self) -> list[Call]:
        """All of them."""
        return [call for party in self.parties for call in party.calls]

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {len(self.calls)} calls, trouble until {self.ends_s:g} s, over by {self.lasts_s:g} s"
        ]
        lines += [f"  site {n}: {site}" for n, site in enumerate(self.sites)]
        lines += [f"  gate {n}: {gate}" for n, gate in enumerate(self.gates)]
        lines.append(f"  {self.weather}")
        lines += [] if self.shared is None else [f"  {self.shared}"]
        lines += [f"  {each}" for each in self.happenings]
        for number, party in enumerate(self.parties):
            lines.append(f"  party {number}: {party.way} at gate {party.gate}, leaves {party.leaves_s}")
            lines += [f"    {call}" for call in party.calls]
        return "\n".join(lines)
