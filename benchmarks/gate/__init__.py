"""
A gate against growing slower, that no noisy machine can open or shut.

    python -m benchmarks.gate             # compare with baseline.json; exit 1 when something grew
    python -m benchmarks.gate --accept    # what is measured now is the baseline from now on

Law of this package: no second is measured. What is counted is instructions (callgrind) and
memory that is held (tracemalloc), both by the interpreter's own doing the same every time; and
what is compared is a ratio: the count of a small fixed *workload* over that of a *floor*, which is
what anybody would have to pay who did the same without this library.

Theory. A count of instructions belongs to one build of Python on one kind of processor; the ratio
to a floor counted in the same process carries over to another build, roughly. So a margin is narrow
where the baseline was made by the same Python and packages, and wide where it was not. How narrow
follows from how much a count differs from run to run of unchanged code, which ``--spread`` tells.

Each count is the difference between two runs, of n and of 2n rounds, in two children forked off one
process that has imported everything: what is done once per process falls out. Hash seeds are zero, the
collector of garbage is off, clocks that a workload asks stand still.
"""
