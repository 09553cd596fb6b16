"""The bugs of the report of a run, as ``Bug`` takes them."""

from __future__ import annotations

REPORTS = (
    (
        "a point is forgotten with what it holds",
        "what a run let out adds up, however long it was",
        "bulk/series.py",
        "            del kept[1::2]  # an odd number there is, so the last stays, as the first does\n",
        "            del kept[0::2]\n",
        ("bulk/test_series.py",),
    ),
    (
        "a report takes the place of any file",
        "nothing is overwritten that is no report",
        "bulk/report/place.py",
        "            if file.read(len(MARK)) != MARK.encode():\n",
        "            if not file.read(len(MARK)):\n",
        ("bulk/report/test_place.py", "cli/test_report.py"),
    ),
    (
        "a name that is a tag",
        "what a row or a server is called is text on the page",
        "bulk/report/parts.py",
        "    return escape(shown(words))\n",
        "    return shown(words)\n",
        ("cli/test_report.py",),
    ),
    (
        "a lost worker takes its refusals along",
        "what was counted once stays counted",
        "bulk/engines/crew.py",
        "            self._gone_refusals.update(seat.look.refusals)\n",
        "            self._gone_refusals = Counter(seat.look.retries)\n",
        ("bulk/test_crew.py",),
    ),
    (
        "unknown is nobody",
        "what others take is a figure only where it can be seen",
        "bulk/meter.py",
        '        if is_exact and bucket.series == "alive":\n',
        "        if is_exact:\n",
        ("bulk/test_record.py",),
    ),
)
