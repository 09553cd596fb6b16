"""The same in what several workers of one job do."""

from __future__ import annotations

from tests.planted.bugs import Bug

BUGS_OF_WORKERS = (
    Bug(
        "rows of a lost worker are lost with it",
        "each row has exactly one line",
        "bulk/engines/crew.py",
        "        self._take_back(tasks)\n",
        "        pass\n",
        ("bulk/test_crew.py",),
    ),
    Bug(
        "news are forgotten before they arrived",
        "no row is paid for twice without need",
        "bulk/engines/worker.py",
        "        del self._ended[: max(0, after - self._first)]\n        self._first = max(self._first, after)\n",
        "        self._first += len(self._ended)\n        self._ended.clear()\n",
        ("bulk/test_crew.py",),
    ),
    Bug(
        "each of several workers has the whole limit",
        "workers together stay within the limit",
        "bulk/engines/recipe.py",
        "            quotas={model: _part(quotas, number, workers) for model, quotas in recipe.quotas.items()},\n",
        "            quotas=recipe.quotas,\n",
        ("bulk/test_recipe.py",),
    ),
    Bug(
        "a name with an escape is in the first shard",
        "a row is where its name says",
        "bulk/sharded.py",
        """(null|"(?:[^"\\\\]|\\\\.)*")""",
        """(null|"[^"\\\\]*")""",
        ("bulk/test_sharded.py",),
    ),
)
