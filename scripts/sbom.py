"""
The bill of materials of a release, as CycloneDX.

    .venv-supply/bin/python scripts/sbom.py build/sbom.cdx.json     # `make sbom`

Law of this file: it says what uv.lock says, file hashes and graph included, and the same
commit gives the same bytes. uv writes the list; what only this project knows is added:
its version, which packages every user gets and which come with an extra, and instead of
the moment and a random number the date of the commit and a number made of the content.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tomllib
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from requirements import LOCK, PROJECT, paths_to

ROOT = Path(__file__).parent.parent
VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the CycloneDX bill of materials of the runtime dependencies.")
    parser.add_argument("file", type=Path)
    file: Path = parser.parse_args().file

    found = VERSION.search((ROOT / "src" / "ratelimit_client" / "__init__.py").read_text())
    assert found is not None, "src/ratelimit_client/__init__.py names no version"
    bill = completed(as_uv_writes_it(), version=found[1], required=required(), epoch_s=epoch_s())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bill, indent=2) + "\n")
    sys.stdout.write(f"{file}: {len(bill['components'])} components\n")


def as_uv_writes_it() -> dict[str, Any]:
    words = ["export", "--format", "cyclonedx1.5", "--frozen", "--no-default-groups", "--all-extras", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-m", "uv", "--no-config", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    bill: dict[str, Any] = json.loads(done.stdout)
    return bill


def required() -> set[str]:
    """The packages every user gets; the others come with an extra."""
    packages = tomllib.loads(LOCK.read_text())["package"]
    (project,) = (package for package in packages if package["name"] == PROJECT)
    return {name for name, _ in paths_to(project["dependencies"], packages)}


def epoch_s() -> int:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        given = subprocess.run(
            ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    return int(given)


def completed(bill: dict[str, Any], *, version: str, required: set[str], epoch_s: int) -> dict[str, Any]:
    """*bill* with what uv does not know, and without what differs from run to run."""
    project = bill["metadata"]["component"]
    project["version"] = version
    project["purl"] = f"pkg:pypi/{PROJECT}@{version}"
    for component in bill["components"]:
        component["scope"] = "required" if component["name"] in required else "optional"

    bill["metadata"]["timestamp"] = datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    del bill["serialNumber"]
    bill["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bill, sort_keys=True)).urn
    return bill


if __name__ == "__main__":
    main()
