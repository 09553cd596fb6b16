"""Who races: us, and every peer with its defaults and once tuned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs

import ratelimit_client

from ..peers import PEERS, envs
from .digests import ROOT, of_files

OURS = "ratelimit-client"


@attrs.frozen
class Entrant:
    """
    Args:
        peer, variant, version: who, how set up, of which version.
        command: what starts it; the path of a job file is added. Ours has none.
        made_of: what its results depend on beside server and scenario, as one text.
    """

    peer: str
    variant: str
    version: str = ""
    command: Sequence[str] = ()
    made_of: str = attrs.field(default="", repr=False)

    @property
    def ours(self) -> bool:
        return self.peer == OURS


def ours() -> Entrant:
    """Us, with the limits untold."""
    made_of = of_files(ROOT / "src" / "ratelimit_client", ROOT / "uv.lock")
    return Entrant(OURS, "untold", ratelimit_client.__version__, made_of=made_of)


def peers(names: Iterable[str] = (), variants: Iterable[str] = ()) -> list[Entrant]:
    """
    Every peer in every variant, or those named; the environment of one is made when it is not there.

    One that cannot be run on this machine is left out, and why is printed.

    Raises:
        ValueError: there is no peer of that name.
    """
    wanted, kinds = set(names), set(variants)
    unknown = wanted - {peer.name for peer in PEERS}
    if unknown:
        known = ", ".join(peer.name for peer in PEERS)
        raise ValueError(f"no such peer: {', '.join(sorted(unknown))}; there are {known}")
    found = []
    for peer in PEERS:
        if wanted and peer.name not in wanted:
            continue
        try:
            python = envs.ready(peer)
        except envs.Missing as why:
            print(f"{peer.name}: {why}", flush=True)
            continue
        made_of = of_files(peer.script, peer.requirements, *_shared(peer.script.parent))
        command = (str(python), str(peer.script))
        found += [
            Entrant(peer.name, variant, peer.version, command, made_of)
            for variant in peer.variants
            if not kinds or variant in kinds
        ]
    return found


def _shared(folder: Path) -> Iterator[Path]:
    """The modules that scripts of peers import: names without a hyphen, as the scripts' own have one."""
    ours = {"__init__", "envs"}
    return (path for path in sorted(folder.glob("*.py")) if "-" not in path.stem and path.stem not in ours)
