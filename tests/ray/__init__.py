"""Jobs on a Ray cluster of two nodes, of the size that a machine in CI has time for."""
