"""Bugs in a budget that several processes share; see ``bugs.py``."""

from __future__ import annotations

from tests.planted.bug import Bug

BUGS_OF_STORES = (
    Bug(
        "what a silent process held is lent again",
        "processes that share a budget never spend more than it together, whoever crashes",
        "core/pool.py",
        "        for process, member in list(self.members.items()):\n            if now_us >= member.until_us + KEPT_US:\n                del self.members[process]\n",
        "        for process, member in list(self.members.items()):\n            if now_us >= member.until_us:\n                for unit, each in member.holdings.items():\n                    self._take(unit, -each.held, now_us)\n                del self.members[process]\n",
        ("core/test_pool.py", "core/test_leasing_days.py"),
    ),
    Bug(
        "a lease outlives its end",
        "a process that was stopped wakes up with nothing to spend",
        "core/leased.py",
        "        if now_ns >= self.until_ns:\n            for held in self.units.values():\n                held.void()\n            return False\n",
        "",
        ("core/test_leasing_days.py",),
    ),
    Bug(
        "what is kept is said and spent all the same",
        "what a process gives back it does not spend",
        "core/leased.py",
        "            held.give_up(held.held - keeps)\n",
        "            pass\n",
        ("core/test_leasing.py", "core/test_leasing_days.py"),
    ),
    Bug(
        "an answer that was lost is charged twice",
        "a question to the store that is asked again is executed once",
        "adapters/redis/lease.lua",
        "  if member and number <= member.number then\n",
        "  if member and number < member.number then\n",
        ("adapters/redis/test_script.py",),
    ),
    Bug(
        "a full bucket for each that comes back",
        "when a store is back no second burst follows",
        "core/pool.py",
        "            self.cautious_us = now_us + CAUTIOUS_US\n",
        "            pass\n",
        ("core/test_pool.py", "core/test_leasing_days.py"),
    ),
)
