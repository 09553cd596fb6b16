"""
Ray Data: a class for ``map_batches`` with a client in each worker.

    pip install "ratelimit-client[ray]" "ray[data]"
    python examples/frameworks/ray_data.py [CALLS]

``make`` runs in the workers, so no key travels. Two workers that share no store see each other in the headers
only; where the limit is known, give each its half: ``Client(quotas=per_minute(requests=250))``.
"""

from __future__ import annotations

import sys

import ray

from ratelimit_client import Client
from ratelimit_client.adapters.ray import Answers


def make() -> Client:
    return Client()


def ask(row: dict) -> dict:
    return {"path": "/responses", "json": {"model": "gpt-4o-mini", "input": f"What is {row['id']} in Roman numerals?"}}


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    how = {"fn_constructor_args": (make, ask), "concurrency": 2, "num_cpus": 0.1, "batch_size": 32}
    answered = ray.data.range(calls, override_num_blocks=2).map_batches(Answers, **how)
    print(f"{sum(row['error'] is None for row in answered.take_all())} answers")


if __name__ == "__main__":
    main()
