"""
Workers of a Ray cluster.

Law of this file: what is Ray's own way of saying something is translated here, once,
and nothing else here knows of rows.

Each worker is an async actor. Ray starts it anew, on any node, whenever its process or
its node is gone; a call is never repeated by Ray, for only we know which rows are still
wanted. An actor takes no processor while it runs: it waits for a network.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TextIO, cast

import attrs

from ...adapters.ray.extra import needed
from ...errors import ConfigurationError, RateLimitClientError
from ...runtime.logs import fields, one_line
from .hand import Away, Lost
from .recipe import Recipe
from .worker import News, Task, Worker

_log: Final = logging.getLogger(__name__)
_STEERING: Final = re.compile(r"\x1b\[[0-9;]*m")
# We say of a lost worker what became of its rows, and that is enough.
_OF_A_LOSS: Final = "A worker died or was killed"
_CONNECT_S: Final = 5.0
_LEAVE_S: Final = 5.0
# Several even on one machine: a process that makes thousands of calls a second has no second processor.
_LEAST: Final = 2
_CLIENT: Final = "ray://"


@attrs.frozen
class Cluster:
    """
    Args:
        ray: the module, connected.
        nodes: how many are alive.
    """

    ray: Any
    nodes: int

    def worker_count(self, asked: int | None) -> int:
        """How many workers to start: as many as asked for, else one for each node, and two at least."""
        return max(_LEAST, self.nodes) if asked is None else asked

    def hire(self) -> RayHand:
        """A further worker; it is started in the background, on the node that has the fewest."""
        options = {"max_restarts": -1, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}
        return RayHand(self.ray, self.ray.remote(Worker).options(**options).remote())


@attrs.define(eq=False)
class RayHand:
    """A ``Hand`` on an actor."""

    ray: Any
    actor: Any

    async def open(self, recipe: Recipe, key: str | None) -> str:
        born: str = await self._ask("open", recipe, key)
        return born

    async def take(self, tasks: Sequence[Task]) -> None:
        await self._ask("take", tasks)

    async def collect(self, after: int) -> News:
        news: News = await self._ask("collect", after)
        return news

    async def end_of_input(self) -> None:
        await self._ask("end_of_input")

    async def refuse_queued(self) -> None:
        await self._ask("refuse_queued")

    async def close(self) -> None:
        """The actor gives back what it holds and ends, and is not started again."""
        try:
            async with asyncio.timeout(_LEAVE_S):
                await self._ask("close")
        except (Lost, Away, TimeoutError):
            pass
        finally:
            self.ray.kill(self.actor, no_restart=True)

    async def _ask(self, name: str, *arguments: Any) -> Any:
        errors = self.ray.exceptions
        try:
            return await getattr(self.actor, name).remote(*arguments)
        except errors.ActorUnavailableError:
            raise Away from None
        except errors.RayActorError as error:
            if "The actor died because of an error raised in its creation task" in str(error):
                raise _not_made(error) from None
            raise Lost from None
        except errors.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, RateLimitClientError):
                raise cause from None
            raise
        finally:
            del arguments  # a traceback that shows locals shows these: the key is among them


def _not_made(error: Exception) -> ConfigurationError:
    lines = [line for line in str(error).splitlines() if "Error" in line] or [str(error)]
    return ConfigurationError(
        f"a worker cannot be started: {lines[-1].strip()[:300]}. Install 'ratelimit-client[ray]' on every node, in "
        "the version that runs here"
    )


# -- the cluster ------------------------------------------------------------------------------


@contextlib.contextmanager
def connected(address: str | None, environment: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """
    A cluster for the time of the block: that at *address*, else the one that this machine is part of, else a
    new one of this machine alone, which ends with the block.

    Raises:
        ConfigurationError: Ray is not installed, or the cluster cannot be reached.
    """
    ray = needed("ray")
    needed("pyarrow")
    environment = os.environ if environment is None else environment
    if ray.is_initialized():
        yield _cluster(ray)
        return
    asked = address or environment.get("RAY_ADDRESS")
    check_address(asked)
    # A cluster that nobody set up for this reports to nobody.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(
            address=asked,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
            **({} if asked else {"include_dashboard": False}),
        )
    except (ConnectionError, OSError, RuntimeError, ValueError, TimeoutError) as error:
        raise _unreachable(asked, str(error)) from None
    # Also while it lets go: what Ray has not said by then it says then.
    with contextlib.redirect_stdout(aside(sys.stdout)):
        try:
            yield _cluster(ray)
        finally:
            ray.shutdown()


class _Aside(io.TextIOBase):
    """
    What stands for stdout meanwhile: Ray prints there what happens to workers, and our rows may go there.

    Its words become log lines. Whoever asks for the descriptor gets that of *stdout*.
    """

    def __init__(self, stdout: Any) -> None:
        self._stdout = stdout

    def write(self, text: str) -> int:
        line = _STEERING.sub("", text).strip()
        if line and _OF_A_LOSS not in line:
            _log.warning("ray: %s", one_line(line.splitlines()[0][:300]), extra=fields("ray_said"))
        return len(text)

    def fileno(self) -> int:
        descriptor: int = self._stdout.fileno()
        return descriptor

    def isatty(self) -> bool:
        return bool(self._stdout.isatty())


def aside(stdout: TextIO) -> TextIO:
    """What stands for *stdout* while a cluster is connected."""
    return cast(TextIO, _Aside(stdout))


def check_address(address: str | None) -> None:
    """
    See whether somebody answers there: Ray itself would try for a minute, and then say what only it understands.

    Raises:
        ConfigurationError: it is no address, or nobody does.
    """
    if address is None or address in ("auto", "local"):
        return
    if address.startswith(_CLIENT):
        raise ConfigurationError(
            f"--ray-address {address}: a program far from the cluster cannot run a job; run the command on a node, or "
            "with `ray job submit`, and give HOST:PORT of the head or nothing"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigurationError(f"--ray-address {address!r} is no HOST:PORT such as 10.0.0.5:6379, nor 'auto'")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, getattr(error, "strerror", None) or str(error)) from None


def _cluster(ray: Any) -> Cluster:
    return Cluster(ray, sum(bool(node.get("Alive")) for node in ray.nodes()))


def _unreachable(address: str | None, reason: str) -> ConfigurationError:
    what = f"the Ray cluster at {address}" if address else "a Ray cluster of this machine"
    text = (reason.strip().splitlines() or ["no word"])[0][:300]
    hint = "is its head up (ray start --head), and is this the address it prints?" if address else "see ray's own logs"
    return ConfigurationError(f"{what} cannot be reached: {text}; {hint}")
