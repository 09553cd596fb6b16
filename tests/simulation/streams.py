"""
Who takes answers event by event, and how servers give them.

Law of this file: streams joined later than the rest. Their dice are their own, and they take
the place of plain requests only, so that days without them are what they were.
"""

from __future__ import annotations

import random

import attrs

from ratelimit_client.testing import Faults, Uniform

from .world import Gate, Party, Site


def with_streams(
    seed: int, sites: tuple[Site, ...], gates: tuple[Gate, ...], parties: tuple[Party, ...], *, calm: bool = False
) -> tuple[tuple[Site, ...], tuple[Party, ...]]:
    """The same, with some of the requests streamed, from servers that take their time and break off."""
    dice = random.Random(f"streams {seed}")
    there, who = list(sites), []
    for party in parties:
        if party.way == "request" and dice.random() < 0.5:
            party = attrs.evolve(party, way="stream")
            number = gates[party.gate].site
            if "streaming" not in there[number].options:
                there[number] = _streaming(dice, there[number], calm=calm)
        who.append(party)
    return tuple(there), tuple(who)


def _streaming(dice: random.Random, site: Site, *, calm: bool) -> Site:
    options = {**site.options, "streaming": dice.choice((0.0, 0.2, 3.0, Uniform(0.0, 10.0)))}
    if not calm and dice.random() < 0.4:
        given = site.options.get("faults", ())
        broken = Faults(stream_error=dice.choice((0.0, 0.05, 0.3)), unfinished=dice.choice((0.0, 0.05, 0.3)))
        options["faults"] = (*([given] if isinstance(given, Faults) else given), broken)
    return attrs.evolve(site, options=options)
