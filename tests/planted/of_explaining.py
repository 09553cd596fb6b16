"""The bugs of explanations and of ``top``, in the form of ``of_metrics``."""

from __future__ import annotations

EXPLAINING = (
    (
        "an explanation that knows no slots",
        "every wait is told with what it is for",
        "core/explaining.py",
        '    if binding in (None, "ramp") and scheduler.in_flight >= scheduler.max_in_flight:\n        return None, "slots"\n',
        "",
        ("core/test_explaining.py",),
    ),
    (
        "asking about a key opens it",
        "an explanation changes nothing",
        "core/explaining.py",
        "    state = scheduler.unopened(key, now_ns=now_ns)\n",
        "    state = scheduler.open_key(key, now_ns=now_ns)\n",
        ("core/test_explaining.py",),
    ),
    (
        "the reserve is not told",
        "what is kept back, and for whom, is told",
        "core/reasons.py",
        "    elif level >= amount:\n        yield from _kept(bucket, ticket)\n",
        "",
        ("core/test_reasons.py",),
    ),
    (
        "a name of a page reaches the terminal as it is",
        "whatever a page says steers no terminal",
        "cli/seen.py",
        "    plain = harmless(value[: longest + 1].translate(_UNSTEADY))",
        "    plain = value[: longest + 1].translate(_UNSTEADY)",
        ("cli/test_seen.py",),
    ),
    (
        "the terminal is kept",
        "whatever ends top, the terminal is as it was",
        "cli/screen.py",
        "        self._on = False\n        self._give_keys_back()\n",
        "        self._on = False\n",
        ("cli/test_top.py",),
    ),
)
