"""
A cluster of two nodes on this machine, until stdin ends; the program of a process that has Ray.

    python two_nodes.py FOLDER

FOLDER takes what Ray writes. The first line of stdout is the address.
"""

from __future__ import annotations

import sys
from typing import Any

from ray.cluster_utils import Cluster


def main(folder: str) -> None:
    arguments: dict[str, Any] = {"num_cpus": 2, "include_dashboard": False, "temp_dir": folder}
    cluster = Cluster(initialize_head=True, head_node_args=arguments)
    cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
