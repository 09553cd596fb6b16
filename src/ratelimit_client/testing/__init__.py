"""
What a test of rate limits needs: a clock that obeys, a loop without waiting, a server
with true quotas.

    from ratelimit_client.testing import ModelServer, serve_model, sliced

    async with serve_model(per_minute(requests=300), enforcement=sliced(5)) as url:
        ...                                  # url is a str: http://127.0.0.1:PORT/v1
        assert url.tally.refusals < 10

Every name is loaded when it is first asked for; none needs pytest but the fixtures in
``ratelimit_client.testing.fixtures``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answers import Answer as Answer
    from .answers import Caller as Caller
    from .answers import RefusalText as RefusalText
    from .app import ModelApp as ModelApp
    from .app import ModelURL as ModelURL
    from .app import serve_model as serve_model
    from .charging import Ask as Ask
    from .charging import by_characters as by_characters
    from .charging import by_characters_and_output as by_characters_and_output
    from .charging import by_the_larger as by_the_larger
    from .charging import exactly as exactly
    from .clock import ManualClock as ManualClock
    from .conduct import Change as Change
    from .conduct import Constant as Constant
    from .conduct import Faults as Faults
    from .conduct import LogNormal as LogNormal
    from .conduct import Outsiders as Outsiders
    from .conduct import Uniform as Uniform
    from .enforcement import Enforcement as Enforcement
    from .enforcement import fixed as fixed
    from .enforcement import minute as minute
    from .enforcement import sliced as sliced
    from .lies import Lies as Lies
    from .loop import Deadlock as Deadlock
    from .loop import LeftBehind as LeftBehind
    from .loop import VirtualLoop as VirtualLoop
    from .loop import run_virtual as run_virtual
    from .model_server import ModelServer as ModelServer
    from .ramp import Ramp as Ramp
    from .realtime import RealtimeConduct as RealtimeConduct
    from .serve import RemoteURL as RemoteURL
    from .serve import serve_in_process as serve_in_process
    from .showing import binding as binding
    from .showing import honest as honest
    from .showing import longest as longest
    from .showing import own_cost as own_cost
    from .showing import shortest as shortest
    from .showing import silent as silent
    from .showing import stale as stale
    from .tally import Tally as Tally
    from .wires import Connect as Connect
    from .wires import Route as Route
    from .wires import Wire as Wire

_HOMES = {
    "answers": ("Answer", "Caller", "RefusalText"),
    "app": ("ModelApp", "ModelURL", "serve_model"),
    "charging": ("Ask", "by_characters", "by_characters_and_output", "by_the_larger", "exactly"),
    "clock": ("ManualClock",),
    "conduct": ("Change", "Constant", "Faults", "LogNormal", "Outsiders", "Uniform"),
    "enforcement": ("Enforcement", "fixed", "minute", "sliced"),
    "lies": ("Lies",),
    "loop": ("Deadlock", "LeftBehind", "VirtualLoop", "run_virtual"),
    "model_server": ("ModelServer",),
    "ramp": ("Ramp",),
    "realtime": ("RealtimeConduct",),
    "wires": ("Connect", "Route", "Wire"),
    "serve": ("RemoteURL", "serve_in_process"),
    "showing": ("binding", "honest", "longest", "own_cost", "shortest", "silent", "stale"),
    "tally": ("Tally",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Load a name from its home on first use (PEP 562) and keep it."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
