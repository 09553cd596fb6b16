"""The bugs of metrics, as ``Bug`` takes them: name, promise, file, what is replaced by what, where the suite looks."""

from __future__ import annotations

METRICS = (
    (
        "every model has a label",
        "a hundred thousand names are thirty-three series",
        "core/counts.py",
        "            if len(self._known) >= self._most:\n",
        "            if not name:\n",
        ("core/test_counts.py", "adapters/prometheus/test_collector.py"),
    ),
    (
        "each scrape makes its page",
        "scrapers, however many, get a twentieth of the loop",
        "adapters/prometheus/share.py",
        "            self._saved_s -= self._now_s() - began_s\n",
        "            self._at_s = self._now_s()\n",
        ("adapters/prometheus/test_text.py",),
    ),
    (
        "a new scraper sends the others away",
        "a page keeps a few dozen connections",
        "adapters/prometheus/page.py",
        "    too_many = max(0, len(alive) + 1 - _MOST_CONNECTIONS)\n",
        "    too_many = len(alive) + 1 - _MOST_CONNECTIONS\n",
        ("adapters/prometheus/test_hostile.py",),
    ),
    (
        "as many listen as like to",
        "a live page tells a bounded number of listeners, and the newest of them",
        "adapters/prometheus/live.py",
        "        if len(self._listeners) > MOST_LISTENERS:\n",
        "        if len(self._listeners) > POINTS:\n",
        ("adapters/prometheus/test_live.py",),
    ),
    (
        "states are made for nobody",
        "a live page costs next to nothing while nobody looks",
        "adapters/prometheus/live.py",
        "        if self._listeners and not self._share.is_spent:\n",
        "        if not self._share.is_spent:\n",
        ("adapters/prometheus/test_live.py",),
    ),
    (
        "whatever stands in the page runs",
        "a live page runs its own script and no other",
        "adapters/prometheus/document.py",
        '"script-src": _hash(script)}\n',
        '"script-src": "\'unsafe-inline\'"}\n',
        ("adapters/prometheus/test_document.py",),
    ),
    (
        "a child counts what its parent counted",
        "what is counted is counted once",
        "adapters/prometheus/meter.py",
        "        for thing in self.all():\n            thing.clear()\n",
        "        self._dead.clear()\n",
        ("adapters/prometheus/test_meter.py",),
    ),
    (
        "the key as the name of a request",
        "the key is in no metric",
        "adapters/aiohttp/exchange.py",
        "        quotes = any(secret in raw for secret in secrets_of(call, key))\n",
        "        quotes = not raw\n",
        ("adapters/prometheus/test_exemplars.py",),
    ),
)
