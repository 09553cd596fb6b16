"""What the project is made of and what it becomes: requirements by hash, builds that can be repeated, workflows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@cache
def lock() -> dict[str, dict[str, Any]]:
    return {package["name"]: package for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}


def requirements(*words: str) -> dict[str, tuple[Requirement, set[str]]]:
    """What scripts/requirements.py prints: by name, the requirement and its hashes."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "requirements.py", *words], capture_output=True, text=True, check=True
    )
    found = {}
    for line in done.stdout.replace(" \\\n", " ").splitlines():
        text, *hashes = line.split(" --hash=")
        requirement = Requirement(text)
        found[canonicalize_name(requirement.name)] = requirement, {one.strip() for one in hashes}
    return found


# ---- requirements ------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("--extra", "cli", "--group", "dev"), ("--only-group", "supply"), ("--everything",)])
def test_every_requirement_has_one_version_and_all_its_hashes(words: tuple[str, ...]):
    """
    Those of the lock, for every file there is, wheels and source.
    """
    found = requirements(*words)

    assert len(found) > 15
    for name, (requirement, hashes) in found.items():
        package = lock()[name]
        assert str(requirement.specifier) == f"=={package['version']}"
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
        assert hashes == {file["hash"] for file in files}
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in hashes)


def test_everything_is_everything():
    """
    Each package of the lock but the project; and what others need is there where they need it.
    """
    found = requirements("--everything")
    assert set(found) == set(lock()) - {"ratelimit-client"}

    # Machines that differ in all a marker may ask for.
    machines = [
        {"python_full_version": f"{minor}.{patch}", "sys_platform": system, "platform_python_implementation": kind}
        for minor, patch in (("3.11", 0), ("3.11", 9), ("3.12", 0), ("3.13", 1), ("3.14", 0), ("3.15", 0))
        for system in ("linux", "win32", "darwin", "emscripten")
        for kind in ("CPython", "PyPy")
    ]
    for name, (requirement, _) in found.items():
        for needed in lock()[name].get("dependencies", ()):
            for machine in machines:
                if holds(requirement.marker, machine) and holds(needed.get("marker"), machine):
                    assert holds(found[needed["name"]][0].marker, machine), (name, needed["name"], machine)


def holds(marker: Marker | str | None, machine: dict[str, str]) -> bool:
    if marker is None:
        return True
    return (marker if isinstance(marker, Marker) else Marker(marker)).evaluate(machine)  # type: ignore[arg-type]


def test_the_bounds_can_be_tried():
    """
    The lowest versions are those that pyproject.toml names as the least; the highest have no pin.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {
        Requirement(line).name: line for line in [*project["dependencies"], *project["optional-dependencies"]["cli"]]
    }
    lowest = requirements("lowest", "--extra", "cli")
    highest = requirements("highest", "--extra", "cli", "--group", "dev")

    assert set(lowest) == set(asked)
    for name, line in asked.items():
        least = re.search(r">=([0-9.]+)", line)
        assert least is not None
        assert str(lowest[name][0].specifier) == f"=={least[1]}"
        assert str(highest[name][0]) == str(Requirement(line))
    assert not any(hashes for _, hashes in (*lowest.values(), *highest.values()))


def test_nothing_is_installed_that_was_not_asked_for():
    """
    The tools of the supply chain are not in the environment of the tests, and the other way round.
    """
    dev, supply = requirements("--extra", "cli", "--group", "dev"), requirements("--only-group", "supply")

    assert {"pytest", "ruff", "mypy", "hatchling", "editables", "rich", "aiohttp"} <= set(dev)
    assert not {"pip-audit", "zizmor", "uv"} & set(dev)
    assert {"pip-audit", "zizmor", "uv"} <= set(supply)
    assert not {"pytest", "aiohttp"} & set(supply)


# ---- builds ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `make dist` builds, twice."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("there is no git repository to build from")
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        ["sh", "scripts/dist", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PY": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^[0-9a-f]{64}  \./ratelimit_client-", done.stdout, re.MULTILINE)) == 2
    return folder


def test_two_builds_are_one(built: Path):
    """
    In other folders, zones, languages, under another umask and hash seed: the same bytes, a wheel and a source.
    """
    assert sorted(path.suffix for path in built.iterdir()) == [".gz", ".whl"]


def test_the_wheel_holds_the_library_and_nothing_else(built: Path):
    """
    Its modules, the mark that it is typed, licence and metadata.
    """
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith("/METADATA"))
    inside = {name for name in names if name.startswith("ratelimit_client/")}
    tracked = subprocess.run(
        ["git", "ls-files", "src/ratelimit_client"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert inside == {name.removeprefix("src/") for name in tracked if (ROOT / name).exists()}
    assert "ratelimit_client/py.typed" in inside
    rest = {name.partition("/")[2] for name in names - inside}
    assert rest == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata


def test_the_source_holds_what_makes_and_tests_it_and_no_junk(built: Path):
    """
    What git tracks, of the folders that were named; no cache, no output, no environment; nobody's name or rights.
    """
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        members = archive.getmembers()
    names = {member.name.partition("/")[2] for member in members}
    tracked = set(
        subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    )

    assert names - tracked == {"PKG-INFO"}
    assert {"pyproject.toml", "uv.lock", "LICENSE", "README.md", "Makefile", "tests/conftest.py"} <= names
    assert not [name for name in names if name.startswith((".ci/", ".github/", "out/")) or "__pycache__" in name]
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}
    assert {member.mode & 0o777 for member in members} <= {0o644, 0o755}
    assert all(member.isfile() for member in members)


# ---- the bill of materials -----------------------------------------------------------------------------

BILL = {
    "metadata": {"timestamp": "now", "component": {"name": "ratelimit-client"}},
    "serialNumber": "urn:uuid:random",
    "components": [{"name": "aiohttp"}, {"name": "rich"}],
}


def test_a_bill_of_materials_can_be_repeated(monkeypatch: pytest.MonkeyPatch):
    """
    Version, scope, the date of the commit, and a number that follows from the content.
    """
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import sbom

    def completed(version: str) -> dict[str, Any]:
        copy: dict[str, Any] = json.loads(json.dumps(BILL))
        return sbom.completed(copy, version=version, required={"aiohttp"}, epoch_s=1_700_000_000)  # type: ignore[no-any-return]

    bill = completed("1.2.3")
    assert bill == completed("1.2.3")
    assert bill["serialNumber"] != completed("1.2.4")["serialNumber"]
    assert bill["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    assert bill["metadata"]["component"]["purl"] == "pkg:pypi/ratelimit-client@1.2.3"
    assert [(one["name"], one["scope"]) for one in bill["components"]] == [
        ("aiohttp", "required"),
        ("rich", "optional"),
    ]
    assert sbom.required() >= {"aiohttp", "yarl", "attrs"}
    assert "rich" not in sbom.required()


# ---- the audit -----------------------------------------------------------------------------------------

NOT_THERE = "ERROR:pip_audit._cli:aiohttp: Dependency not found on PyPI and could not be audited: aiohttp (3.14.5)"
NO_NETWORK = "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='pypi.org', port=443): Max retries"


@pytest.mark.parametrize(
    ("answers", "code", "says"),
    [
        ([(0, "No known vulnerabilities found")], 0, "No known"),
        ([(1, "Found 1 known vulnerability in 1 package")], 1, "Found 1 known"),
        ([(1, NO_NETWORK)], 75, "could not be reached"),
        ([(1, NOT_THERE), (1, NOT_THERE)], 75, "could not be reached"),  # a mirror that knows no vulnerabilities
        ([(1, NOT_THERE), (0, "No known vulnerabilities found")], 1, "could not be audited: aiohttp"),
        ([(1, "something else went wrong")], 1, "something else"),
    ],
)
def test_an_audit_is_green_only_when_everything_was_looked_up(
    tmp_path: Path, answers: list[tuple[int, str]], code: int, says: str
):
    """
    Found, skipped, or nobody there to ask: three endings, and none of them is 0.
    """
    for number, (ends, said) in enumerate(answers, start=1):
        (tmp_path / f"answer{number}").write_text(f"echo {json.dumps(said)} >&2\nexit {ends}\n")
    tool = tmp_path / "python"
    # It prints the requirements itself, and plays pip-audit.
    tool.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = -m ] || exec {sys.executable} "$@"\n'
        f'n=$(ls "{tmp_path}" | grep -c asked); touch "{tmp_path}/asked$n"\n'
        f'. "{tmp_path}/answer$((n + 1))"\n'
    )
    tool.chmod(0o755)
    done = subprocess.run(
        ["sh", "scripts/audit"],
        cwd=ROOT,
        env={**os.environ, "PY": str(tool)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, len(list(tmp_path.glob("asked*")))) == (code, len(answers))
    assert says in done.stderr


# ---- workflows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_uses_what_it_names_and_may_do_little(path: Path):
    """
    Every action is pinned by the hash of a commit, with its version beside it; no right is given to all jobs; no
    secret is named; no checkout leaves its token lying about.
    """
    text = path.read_text()
    used = re.findall(r"uses: (.*)", text)

    assert used
    for one in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), one
    assert "\npermissions: {}\n" in text
    assert "secrets." not in text
    assert "pull_request_target" not in text
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    # What an event says is never put into a command as text.
    assert not [line for line in text.splitlines() if re.match(r"\s*(- )?run:", line) and "${{" in line]
    rights = re.findall(r"^      ([a-z-]+): write", text, re.MULTILINE)
    assert sorted(set(rights)) == (["attestations", "contents", "id-token"] if path.name == "release.yml" else [])


def test_one_action_has_one_pin():
    """
    The same commit wherever it is used.
    """
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for name, pin in re.findall(r"uses: ([\w./-]+)@(.*)", path.read_text()):
            pins.setdefault(name, set()).add(pin)

    assert {path.name for path in WORKFLOWS} >= {"ci.yml", "release.yml"}
    assert {name: found for name, found in pins.items() if len(found) > 1} == {}


def test_who_publishes_runs_nothing_of_ours():
    """
    The job with the right to publish has an environment, runs no command and fetches no code.
    """
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    jobs = dict(re.findall(r"^  (\w+):\n((?:    .*\n|\n)+)", text.partition("\njobs:\n")[2], re.MULTILINE))

    assert set(jobs) == {"build", "attest", "publish", "assets"}
    assert "environment:\n      name: pypi" in jobs["publish"]
    assert "run:" not in jobs["publish"] + jobs["attest"]
    assert "checkout" not in jobs["publish"] + jobs["attest"] + jobs["assets"]
    assert "id-token" not in jobs["build"]
    assert "write" not in jobs["build"]


def test_what_a_workflow_calls_is_there():
    """
    Every make target it names is one of the Makefile.
    """
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {name for path in WORKFLOWS for name in re.findall(r"run: make ([a-z-]+)", path.read_text())}

    assert called
    assert called <= targets
