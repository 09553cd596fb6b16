"""
From a number to a day.

Law of this file: one seed, one world, on every machine and in every process; each part is
drawn by dice of its own, so that a change to one part leaves the others as they are.

Most days are small, because many small ones find more than one large one. A part of them
is calm, and there everything is owed: no refusal, no error, the ideal time.
"""

from __future__ import annotations

import random
from typing import Any

from ratelimit_client import Backoff, Quota, Quotas, RetryPolicy, per_day, per_hour, per_minute
from ratelimit_client.testing import (
    Change,
    Faults,
    Lies,
    LogNormal,
    Outsiders,
    Ramp,
    RefusalText,
    Uniform,
    binding,
    exactly,
    fixed,
    longest,
    minute,
    own_cost,
    shortest,
    silent,
    sliced,
    stale,
)

from .guests import with_guests, with_proxies
from .streams import with_streams
from .talks import with_talks
from .weather import KINDS
from .world import FIRST_WAYS, HIDES_BODIES, OF_CLIENTS, Call, Gate, Happening, Party, Site, Weather, World

_MODELS = ("gpt-4o", "gpt-4o", "gpt-4o", "o3")


def draw(seed: int) -> World:
    """The day of a seed."""
    dice = random.Random(f"world {seed}")
    if dice.random() < 0.2:
        return calm_day(seed)
    sites = tuple(
        draw_site(random.Random(f"site {number} {seed}"), number) for number in range(dice.choice((1, 1, 1, 2)))
    )
    gates = tuple(
        _gate(random.Random(f"gate {number} {seed}"), number, sites) for number in range(dice.choice((1, 1, 1, 2, 3)))
    )
    ends_s = dice.choice((20.0, 60.0, 60.0, 150.0))
    size = dice.choice((8, 15, 25, 25, 40))
    parties = tuple(
        _party(random.Random(f"party {number} {seed}"), number, dice.randrange(len(gates)), gates, sites, ends_s, size)
        for number in range(dice.choice((1, 1, 2, 3)))
    )
    sites, parties = with_streams(seed, sites, gates, parties)
    sites, parties = with_talks(seed, sites, gates, parties)
    parties = with_proxies(seed, with_guests(seed, parties))
    weather = draw_weather(random.Random(f"air {seed}"), ends_s)
    happenings = _happenings(random.Random(f"events {seed}"), sites, gates, ends_s)
    return World(
        seed=seed,
        sites=sites,
        gates=gates,
        parties=parties,
        weather=weather,
        happenings=happenings,
        ends_s=ends_s,
        lasts_s=ends_s + _bound_s(sites, gates, parties),
    )


def calm_day(seed: int) -> World:
    """Nothing breaks and nobody lies: an honest server, whose quotas are typed or have to be learnt."""
    dice = random.Random(f"calm {seed}")
    limits = per_minute(requests=dice.choice((6, 30, 60, 300, 1200)))
    if dice.random() < 0.5:
        limits += per_minute(tokens=dice.choice((600, 5_000, 60_000)))
    if dice.random() < 0.2:
        limits += per_day(requests=dice.choice((300, 2000)))
    tongue = dice.choice(("openai", "openai", "openai", "anthropic"))
    options = {
        "latency": dice.choice((0.0, 0.01, 0.15, 0.5, 2.0, Uniform(0.05, 3.0), LogNormal(0.5))),
        "charge": exactly,
        "charge_refusals": dice.random() < 0.5,
        "seed": seed,
    }
    site = Site(name="api0.test", limits=limits, options=options, tongue=tongue)
    typed = dice.random() < 0.6
    quotas = {"quotas": limits} if typed else {}
    own = dice.random() < 0.3
    gate = Gate(site=0, options={**quotas, "dialect": dice.choice(("auto", tongue))}, own=own, policy=_policy(dice))
    most = min((quota.amount for quota in limits if quota.unit == "tokens"), default=400)
    ways = ("request", "map") if own else FIRST_WAYS
    way = dice.choice([each for each in ways if each != "nowait"])
    gate = Gate(**{**_as_dict(gate), "client": way in OF_CLIENTS, "own": own and way in OF_CLIENTS})
    count = dice.choice((10, 30, 30, 60, 120))
    calls = tuple(
        Call(
            mark=f"p0-{number}",
            at_s=0.0 if number < 5 else round(dice.uniform(0, 10), 3),
            tokens=(tokens := dice.choice((1, 10, 50, most // 8, most // 4))),
            chars=4 * tokens,
        )
        for number in range(count)
    )
    calls = tuple(sorted(calls, key=lambda call: call.at_s))
    weather = Weather(latency_s=dice.choice((0.0, 0.001, 0.02, 0.1)))
    gates = (gate,)
    sites, parties = with_streams(seed, (site,), gates, (Party(gate=0, way=way, calls=calls),), calm=True)
    sites, parties = with_talks(seed, sites, gates, parties, calm=True)
    parties = with_proxies(seed, with_guests(seed, parties, calm=True), calm=True)
    return World(
        seed=seed,
        sites=sites,
        gates=gates,
        parties=parties,
        weather=weather,
        lasts_s=_bound_s(sites, gates, parties),
        calm=True,
    )


def _as_dict(gate: Gate) -> dict[str, Any]:
    return {
        "site": gate.site,
        "options": gate.options,
        "policy": gate.policy,
        "connect_s": gate.connect_s,
        "idle_s": gate.idle_s,
    }


# ---- servers ---------------------------------------------------------------------------------


def draw_site(dice: random.Random, number: int) -> Site:
    """A server, at its best or at its worst."""
    limits = per_minute(requests=dice.choice((6, 30, 60, 60, 300, 300, 3000)))
    if dice.random() < 0.6:
        limits += per_minute(tokens=dice.choice((2_000, 10_000, 60_000)))
    enforcement = dice.choice((minute(), minute(), minute(), sliced(1), sliced(10), fixed(10), fixed(60)))
    if enforcement == minute() and dice.random() < 0.5:  # a slice of a day's limit would be less than a call
        limits += per_day(requests=dice.choice((500, 5_000)))
    tongue = dice.choice(("openai", "openai", "openai", "anthropic", "ietf", "seconds", "epochs"))
    options: dict[str, Any] = {
        "latency": dice.choice((0.0, 0.01, 0.5, 2.0, Uniform(0.05, 3.0), LogNormal(1.0))),
        "refusal_latency": dice.choice((0.005, 0.005, 0.15, 1.0)),
        "enforcement": enforcement,
        "headers": dice.choice((True, True, True, True, silent(), stale(), stale(20), own_cost())),
        "choice": dice.choice((binding, longest, shortest)),
        "charge_refusals": dice.random() < 0.6,
        "refusal_text": dice.choice(tuple(RefusalText)),
        "retry_headers": dice.random() < 0.7,
        "seed": dice.randrange(1 << 30),
    }
    if dice.random() < 0.5:
        options["charge"] = exactly
    _add_trouble(dice, options, limits)
    return Site(
        name=f"api{number}.test",
        limits=limits,
        options=options,
        tongue=tongue,
        ahead_s=dice.choice((0.0, 0.0, 0.4, -3.0, 7200.0)),
    )


def _add_trouble(dice: random.Random, options: dict[str, Any], limits: Quotas) -> None:
    kind = dice.random()
    if kind < 0.25:
        options["faults"] = Faults(
            server_error=0.05, overloaded=0.04, slow_down=0.04, reset=0.04, truncated=0.04, slow=0.02, until_s=60
        )
    elif kind < 0.5:
        # An outage: everything fails for a while.
        name = dice.choice(("reset", "server_error", "overloaded", "truncated", "slow_down"))
        from_s = dice.choice((0, 2, 10))
        options["faults"] = Faults(**{name: 1.0}, from_s=from_s, until_s=from_s + dice.choice((5, 40, 140)))
    if dice.random() < 0.35:
        name = dice.choice(("dropped", "late", "frozen", "wrong_limit", "full", "hostile", "hostile"))
        options["lies"] = Lies(**{name: dice.choice((0.05, 0.3, 1.0))}, until_s=dice.choice((20, 60, 1e9)))
    if dice.random() < 0.2:
        factor = dice.choice((1 / 10, 1 / 3, 3, 10))
        after = Quotas(Quota(each.unit, max(1, int(each.amount * factor)), each.window_s) for each in limits)
        options["changes"] = Change(dice.choice((5, 30)), after)
    if dice.random() < 0.2:
        slowest = min(quota.amount / 60 for quota in limits if quota.unit == "requests")
        options["outsiders"] = Outsiders(
            per_s=slowest * dice.choice((0.1, 0.5)), burst=dice.choice((0, 2)), tokens=10, until_s=200
        )
    if dice.random() < 0.1:
        options["max_in_flight"] = dice.choice((1, 3, 10))
    if dice.random() < 0.1:
        options["ramp"] = Ramp(floor=dice.choice((5, 60)), unit="requests")


# ---- limiters --------------------------------------------------------------------------------


def _gate(dice: random.Random, number: int, sites: tuple[Site, ...]) -> Gate:
    site = dice.randrange(len(sites))
    options: dict[str, Any] = {"dialect": dice.choice(("auto", "auto", "auto", "openai", "generic"))}
    if dice.random() < 0.5:
        options["quotas"] = _typed(dice, sites[site].limits)
    if dice.random() < 0.15:
        options["shared"] = per_minute(requests=dice.choice((10, 100)), tokens=dice.choice((20_000, 100_000)))
    if dice.random() < 0.5:
        options["max_in_flight"] = dice.choice((1, 2, 4, 10, 50))
    if dice.random() < 0.1:
        options["max_queue"] = dice.choice((0, 3, 10))
    if dice.random() < 0.1:
        options["pacing"] = dice.choice((0.5, 5, 50))
    client = dice.random() < 0.5
    shares = 0 if client and number and dice.random() < 0.5 else None  # the first gate's, whose server may be another
    return Gate(
        site=site,
        options=options if shares is None else {},
        client=client,
        own=client and shares is None and dice.random() < 0.5,
        shares=shares,
        policy=_policy(dice),
        connect_s=dice.choice((2.0, 5.0, 10.0)),
        idle_s=dice.choice((5.0, 20.0, 60.0)),
    )


def _typed(dice: random.Random, limits: Quotas) -> Quotas:
    """What the user typed: the truth, less, more, or of another window."""
    kind = dice.random()
    if kind < 0.4:
        return limits
    if kind < 0.6:
        factor = dice.choice((0.1, 0.5, 2, 10))
        return Quotas(Quota(each.unit, max(1, int(each.amount * factor)), each.window_s) for each in limits)
    if kind < 0.8:
        return per_minute(requests=dice.choice((3, 20, 100)))
    return dice.choice((Quotas([Quota("requests", 5, 1)]), per_hour(requests=200), Quotas([Quota("requests", 20, 10)])))


def _policy(dice: random.Random) -> RetryPolicy:
    kind = dice.random()
    if kind < 0.3:
        return RetryPolicy()
    if kind < 0.5:
        return RetryPolicy.bulk(max_attempts=12)
    if kind < 0.6:
        return RetryPolicy.none()
    return RetryPolicy(
        max_attempts=dice.choice((2, 3, 8)),
        backoff=Backoff(base_s=dice.choice((0.01, 0.5)), cap_s=dice.choice((1.0, 30.0))),
        budget=dice.choice((0.0, 0.2, 1.0)),
        max_refusals=dice.choice((0, 3, 50, None)),
        max_hint_s=dice.choice((5.0, 120.0, 86_400.0)),
        max_outage_s=dice.choice((5.0, 60.0, None)),
    )


# ---- those who call ----------------------------------------------------------------------------


def _party(
    dice: random.Random,
    number: int,
    gate: int,
    gates: tuple[Gate, ...],
    sites: tuple[Site, ...],
    ends_s: float,
    size: int,
) -> Party:
    of_client = gates[gate].client
    way = dice.choice([way for way in FIRST_WAYS if (way in OF_CLIENTS) == of_client])
    spread_s = dice.choice((0.0, 0.5, 5.0, ends_s))
    site = sites[gates[gate].site]
    # Only a refusal that says so, to somebody who reads it, can tell that a call is too large for ever.
    told = way not in HIDES_BODIES and site.options["refusal_text"] is RefusalText.FULL
    shown = site.limits if told else site.every_limit
    most = min((quota.amount for quota in shown if quota.unit == "tokens"), default=8_000)
    cancels, deadlines = dice.choice((0.0, 0.0, 0.1, 0.5)), dice.choice((0.0, 0.0, 0.1, 0.6))
    tenants, priorities = (
        dice.choice(((None,), ("a", "b"), ("a", "b", "c"))),
        dice.choice(((0,), (0, 0, -2, 1), (-1, 2))),
    )
    stated = dice.choice((0.0, 0.5, 1.0))
    sizes = dice.choice(((1,), (1, 10, 50), (10, most // 8, most // 2), (1, most // 4, most - 60)))
    calls = []
    for index in range(dice.randint(1, size)):
        tokens = max(1, dice.choice(sizes))
        calls.append(
            Call(
                mark=f"p{number}-{index}",
                at_s=round(dice.uniform(0.0, spread_s), 3),
                model=dice.choice(_MODELS),
                chars=max(0, 4 * tokens - 8),
                max_tokens=dice.choice((None, None, 16, 200)),
                tokens=tokens if dice.random() < stated else None,
                priority=dice.choice(priorities),
                tenant=dice.choice(tenants),
                deadline_s=dice.choice((0.0, 0.3, 2.0, 10.0, 60.0)) if dice.random() < deadlines else None,
                cancel_s=_when_cancelled(dice) if dice.random() < cancels else None,
                struck=dice.choice(("at grant", "before waking")) if dice.random() < cancels else "",
                quirk=dice.choice(("", "", "", "settles", "unsent", "finishes")),
            )
        )
    calls.sort(key=lambda call: call.at_s)
    leaves_s = round(dice.uniform(0.0, ends_s), 3) if way in ("map", "items") and dice.random() < 0.2 else None
    return Party(gate=gate, way=way, calls=tuple(calls), leaves_s=leaves_s)


def _when_cancelled(dice: random.Random) -> float:
    """At once, at the instant of something else, or anywhere."""
    return dice.choice(
        (0.0, 0.005, 0.01, 0.5, 1.0, round(dice.uniform(0.0, 2.0), 4), round(dice.uniform(0.0, 40.0), 3))
    )


# ---- what happens ------------------------------------------------------------------------------


def draw_weather(dice: random.Random, ends_s: float) -> Weather:
    """A network."""
    latency_s, jitter_s = dice.choice(((0.0, 0.0), (0.001, 0.0), (0.02, 0.005), (0.1, 0.05), (0.1, 0.3)))
    kinds: dict[str, float] = {}
    if dice.random() < 0.5:
        few = dice.sample(sorted(KINDS), dice.choice((1, 1, 2, 4)))
        kinds = {name: dice.choice((0.05, 0.15, 0.25)) for name in few}
    return Weather(latency_s=latency_s, jitter_s=jitter_s, kinds=kinds, heals_s=ends_s)


def _happenings(
    dice: random.Random, sites: tuple[Site, ...], gates: tuple[Gate, ...], ends_s: float
) -> tuple[Happening, ...]:
    found: list[Happening] = []

    def at() -> float:
        return round(dice.uniform(0.0, ends_s), 3)

    for _ in range(dice.choice((0, 0, 1, 2, 4))):
        kind = dice.choice(("quotas", "drain", "close", "end of input", "wall", "wall", "stall", "cut off", "cut off"))
        gate, site = dice.randrange(len(gates)), dice.randrange(len(sites))
        if kind == "quotas":
            found.append(Happening(at_s=at(), what=kind, of=gate, value=_typed(dice, sites[gates[gate].site].limits)))
        elif kind == "wall":
            step_s = dice.choice((-3600.0, 3600.0, -0.5, 86_400.0 * 3650, -86_400.0 * 3650))
            found.append(Happening(at_s=at(), what=kind, value=step_s))
        elif kind == "stall":
            found.append(Happening(at_s=at(), what=kind, value=dice.choice((0.2, 5.0, 90.0))))
        elif kind == "cut off":
            from_s = at()
            until_s = min(ends_s, from_s + dice.choice((0.5, 5.0, 30.0)))
            found.append(Happening(at_s=from_s, what="cut off", of=site))
            found.append(Happening(at_s=until_s, what="restore", of=site))
        else:
            value = dice.choice((None, 1.0, 30.0)) if kind == "drain" else None
            found.append(Happening(at_s=at(), what=kind, of=gate, value=value))
    return tuple(sorted(found, key=lambda each: each.at_s))


def _bound_s(sites: tuple[Site, ...], gates: tuple[Gate, ...], parties: tuple[Party, ...]) -> float:
    """Long enough for everybody after the trouble is over: what all calls cost at the slowest rate, and long waits."""
    requests = sum(len(party.calls) for party in parties)
    slowest = [quota for site in sites for quota in site.every_limit]
    slowest += [quota for gate in gates for quota in gate.quotas]
    slowest += [Quota("requests", ramp.floor, 60) for site in sites if (ramp := site.options.get("ramp")) is not None]
    tokens = sum(call.chars // 4 + (call.max_tokens or 0) + 40 for party in parties for call in party.calls)
    worst_s = max(
        (tokens if quota.unit == "tokens" else requests) * quota.window_s / quota.amount
        for quota in slowest
        if quota.window_s < 86_400
    )
    # A header that lies may tell of a limit of a day, and that is waited for.
    lied = any("lies" in site.options for site in sites)
    return 3600.0 + 6 * worst_s + (3 * 86_400.0 if lied else 0.0)
