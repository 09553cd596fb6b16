"""
``make bench``: the models in virtual time, the race on loopback, CPU and micro costs, and the proxy.

Results go to benchmarks/results/latest.json, with the machine, the versions and the
commit they are of; docs/benchmarks.md is written from that file. With names
(``python -m benchmarks models race cpu sdk micro startup metrics proxy crowds processes stored newcomer``) only
those parts run, and the others keep their figures and the commit these were measured at.

``python -m benchmarks ray`` puts a job on a Ray cluster beside Ray's own HTTP processor, and
``python -m benchmarks race-peers`` runs the race against the peers, which takes hours and goes on
where it stopped; ``--help`` tells what it can be narrowed to. ``growth-full`` is ``growth`` up to ten
million rows.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import cpu, growth, metrics, micro, openai_sdk, page, processes, proxy, race, ray_http, startup, stored
from .models import contention, crowds, newcomer, ramp, reconciliation, second_look, storms

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "latest.json"
PACKAGES = ("aiohttp", "aiolimiter", "attrs", "openai", "orjson", "prometheus-client", "tenacity")


def models() -> dict[str, Any]:
    """The tables of the models: reconciliation, contention, storms, the ramp and the settings of the second look."""
    return {
        "reconciliation": reconciliation.table(),
        "contention": contention.table(),
        "storms": storms.table(),
        "ramp": ramp.table(),
        "strays": ramp.strays(),
        "second_look": second_look.table(),
    }


PARTS: dict[str, Callable[[], Any]] = {
    "models": models,
    "newcomer": newcomer.table,
    "race": race.race,
    "cpu": cpu.cpu,
    "sdk": openai_sdk.sdk,
    "micro": micro.micro,
    "growth": growth.growth,
    "startup": startup.startup,
    "metrics": metrics.metrics,
    "proxy": proxy.proxy,
    "crowds": crowds.table,
    "processes": processes.processes,
    "stored": stored.stored,
}


def about() -> dict[str, Any]:
    """What the figures are of."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False)
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no", "--", "src", "benchmarks/*.py", "benchmarks/models"],
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "commit": commit.stdout.strip() + (" and changes" if changed.stdout.strip() else ""),
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "not installed"


def main(names: list[str]) -> int:
    """Run the parts named (all without a name) and write what they found."""
    if names[:1] == ["race-peers"]:
        commit = about()["commit"]
        return _main({"peers": lambda: race.peers(names[1:], of=commit)})
    if names == ["ray"]:
        return _main({"ray": ray_http.ray_http})
    if names == ["growth-full"]:
        return _main({"growth": growth.growth_full})
    unknown = set(names) - set(PARTS)
    if unknown:
        print(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    return _main({name: PARTS[name] for name in names or PARTS})


def _main(parts: Mapping[str, Callable[[], Any]]) -> int:
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    for name, part in parts.items():
        print(f"== {name}", flush=True)
        found = part()
        print(json.dumps(found, indent=2), flush=True)
        results[name] = {"of": about(), "found": found}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    page.write(results)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
