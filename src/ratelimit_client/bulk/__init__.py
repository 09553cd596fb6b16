"""
Bulk jobs: a file of rows in, a file of answers out.

Law of this floor: a row is finished when its line is in a file, and for no other
reason; whatever happens to the process, the same command goes on.

From the input to the output: ``source`` gives lines (``jsonl`` splits them),
``row`` says what a line is (``scan`` where its parts stand), ``walk`` what has to
be done for it (``ledger`` and ``fingerprints`` know what earlier runs finished, ``skim`` passes it by its
``shapes``),
``feeder`` and ``lanes`` begin it, ``engines`` send it, ``outcome`` says what an
error means for it, ``lines`` and ``journal`` write it down (``disk`` does it). ``job`` is the run,
``stops`` why it ends early, ``tally``, ``meter`` and ``summary`` what it came to;
``output`` and ``manifest`` are the files and whose they are.

``shards`` divide a job, ``retry`` chooses the failed rows of one. Without a run,
``standing`` says how a job stands (``mended``: which errors count no more), ``preview``
and ``forecast`` what it would do and take; ``state`` keeps the limits it learnt.
"""

from __future__ import annotations
