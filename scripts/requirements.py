"""
Requirements for pip, from uv.lock.

    python3 scripts/requirements.py --extra cli --group dev > requirements.txt

Law of this file: it reads the lock and nothing else, needs a python3 >= 3.11 and
nothing else, and prints what ``pip install --requirement`` reads. ``locked`` names
every package that is needed, direct or not, at its one version and with the hashes of
all its files, so that pip takes those bytes or none. ``lowest`` and ``highest`` name
what the project itself asks for, at the least version it allows or at none, and leave
the rest to pip: those are for finding out whether the bounds are true.

Theory. The lock is a graph whose edges may have markers ("only below Python 3.13"). A
package is needed where some path to it from the project holds; a path holds where all
its markers do. So a package's marker is an ``or`` of paths, and a path that needs more
than another adds nothing.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parent.parent / "uv.lock"
PROJECT = "ratelimit-client"

Trail = frozenset[str]
"""The markers along a path, all of which must hold."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Print requirements for pip, from uv.lock.")
    parser.add_argument("versions", nargs="?", default="locked", choices=["locked", "lowest", "highest"])
    parser.add_argument("--extra", action="append", default=[], help="of the project; may be repeated")
    parser.add_argument("--group", action="append", default=[], help="of dependencies; may be repeated")
    parser.add_argument("--only-group", action="append", default=[], help="the same, without the project's own")
    parser.add_argument("--everything", action="store_true", help="all extras and all groups")
    options = parser.parse_args()

    packages = tomllib.loads(LOCK.read_text())["package"]
    (project,) = (package for package in packages if package["name"] == PROJECT)
    extras = options.extra if not options.everything else project["optional-dependencies"]
    groups = options.group + options.only_group if not options.everything else project["dev-dependencies"]
    if options.only_group:
        project["dependencies"] = project["metadata"]["requires-dist"] = []
    lines = locked if options.versions == "locked" else asked_for
    for line in lines(packages, project, list(extras), list(groups), lowest=options.versions == "lowest"):
        sys.stdout.write(line + "\n")


def locked(
    packages: list[dict[str, Any]], project: dict[str, Any], extras: list[str], groups: list[str], **_: Any
) -> Iterator[str]:
    """Each package that is needed, once, with its version, where it is needed and its hashes."""
    roots = [*project["dependencies"]]
    roots += [one for extra in extras for one in project["optional-dependencies"][extra]]
    roots += [one for group in groups for one in project["dev-dependencies"][group]]

    needed = paths_to(roots, packages)
    for package in packages:
        paths = needed.get((package["name"], package.get("version")))
        if paths:
            files = [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
            pinned = f"{package['name']}=={package['version']}{marker_of(paths)}"
            yield " \\\n    ".join([pinned, *(f"--hash={file['hash']}" for file in files)])


def paths_to(roots: list[dict[str, Any]], packages: list[dict[str, Any]]) -> dict[tuple[str, str | None], set[Trail]]:
    """For each package, by name and version, the shortest paths that lead to it."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for package in packages:
        by_name.setdefault(package["name"], []).append(package)

    found: dict[tuple[str, str | None], set[Trail]] = {}
    taken: dict[tuple[str, str | None, str], set[Trail]] = {}
    ways = [(root, frozenset[str]()) for root in roots]
    while ways:
        edge, so_far = ways.pop()
        path = so_far | {edge["marker"]} if "marker" in edge else so_far
        for package in by_name[edge["name"]]:
            if "version" in edge and package.get("version") != edge["version"]:
                continue  # a name locked at several versions: the edge says which
            name = package["name"], package.get("version")
            add(path, found.setdefault(name, set()))
            for extra in ("", *edge.get("extra", ())):
                if add(path, taken.setdefault((*name, extra), set())):
                    further = package.get("optional-dependencies", {}).get(extra, ()) if extra else ()
                    ways += [(one, path) for one in (further if extra else package.get("dependencies", ()))]
    return found


def add(path: Trail, paths: set[Trail]) -> bool:
    """Put *path* among *paths* unless one of them asks for less; drop those that ask for more."""
    if any(other <= path for other in paths):
        return False
    paths -= {other for other in paths if path < other}
    paths.add(path)
    return True


def marker_of(paths: set[Trail]) -> str:
    """As a requirement writes it; nothing when the package is needed everywhere."""
    if frozenset() in paths:
        return ""
    each = sorted(" and ".join(f"({marker})" for marker in sorted(path)) for path in paths)
    return " ; " + " or ".join(each)


def asked_for(
    packages: list[dict[str, Any]], project: dict[str, Any], extras: list[str], groups: list[str], *, lowest: bool
) -> Iterator[str]:
    """What the project asks for by itself; the tools of the groups always at their newest."""
    own = (one for one in project["metadata"]["requires-dist"] if applies(one, extras))
    yield from dict.fromkeys(f"{one['name']}{bound(one['specifier'], lowest)}" for one in own)
    for group in groups:
        yield from tools(project["metadata"]["requires-dev"][group])


def applies(one: dict[str, Any], extras: Iterable[str]) -> bool:
    return "marker" not in one or any(one["marker"] == f"extra == '{extra}'" for extra in extras)


def bound(specifier: str, lowest: bool) -> str:
    """``>=3.14.3,<4`` as it is, or ``==3.14.3``."""
    return "==" + specifier.partition(",")[0].removeprefix(">=") if lowest else specifier


def tools(group: list[dict[str, Any]]) -> Iterator[str]:
    yield from (f"{one['name']}{one['specifier']}" for one in group)


if __name__ == "__main__":
    main()
