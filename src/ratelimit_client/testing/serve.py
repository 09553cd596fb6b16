"""
The model server as a program of its own.

    python -m ratelimit_client.testing.serve --port 8080 --limit "500 requests/min" --latency 0.5

Law of this file: a benchmark must not share a process with what it measures. The server
runs in a child that ends with its parent; its tally comes back over HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import multiprocessing
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import urlsplit

from ..core.quota import Quotas
from .app import STATS_PATH, ModelURL, serve_model
from .enforcement import Enforcement, fixed, minute, sliced
from .model_server import Limits, ModelServer

_START_TIMEOUT_S = 30.0
_LAST_PORT = 65_535


class RemoteURL(str):
    """The base URL of a model server in another process; a string that can ask for its tally."""

    __slots__ = ()

    def stats(self, *, marks: bool = False) -> dict[str, Any]:
        """The tally so far, as ``Tally.report`` gives it; blocks for one round trip."""
        parts = urlsplit(self)
        query = "?marks=1" if marks else ""
        address = f"{parts.scheme}://{parts.netloc}{STATS_PATH}{query}"
        # No proxy of the environment stands between two processes of one machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(address, timeout=10) as answer:
            report: dict[str, Any] = json.load(answer)
            return report


@contextlib.contextmanager
def serve_in_process(
    limits: Limits = None, *, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> Iterator[RemoteURL]:
    """
    Serve a new model server in a process of its own and give its base URL.

        with serve_in_process(per_minute(requests=3000), latency=0.5) as url:
            asyncio.run(job(url))
            print(url.stats())

    The arguments are those of `ModelServer`; they travel to the child, so they must be
    picklable (functions by name, the values of this package all are). The calling
    script needs the usual ``if __name__ == "__main__"`` of multiprocessing.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_child, args=(theirs, limits, options, host, port), daemon=True)
    child.start()
    theirs.close()
    try:
        if not ours.poll(_START_TIMEOUT_S):
            raise TimeoutError(f"the model server did not start within {_START_TIMEOUT_S:g} s")
        try:
            told = ours.recv()
        except EOFError:
            child.join()
            raise RuntimeError(f"the model server ended at start, exit code {child.exitcode}") from None
        yield RemoteURL(told)
    finally:
        ours.close()  # which tells the child to end
        child.join(5.0)
        if child.is_alive():
            child.kill()
            child.join()


def _child(connection: Connection, limits: Limits, options: dict[str, Any], host: str, port: int) -> None:
    """Serve until the other end of *connection* is closed."""

    async def serve() -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with serve_model(limits, host=host, port=port, **options) as url:
            loop.add_reader(connection.fileno(), ended.set)
            connection.send(str(url))
            gc.freeze()  # what stands now stands to the end: no need to look at it again
            await ended.wait()
            loop.remove_reader(connection.fileno())

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())


@contextlib.asynccontextmanager
async def serving(
    server: ModelServer, *, host: str = "127.0.0.1", port: int = 0, say: Callable[[str], object]
) -> AsyncIterator[ModelURL]:
    """Serve *server* and say where, for a program that runs until it is interrupted."""
    async with serve_model(server, host=host, port=port) as url:
        say(url.url)
        yield url


# ---- the command -----------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a simulated server, for this program and for others."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=8080, help="port to listen on; 0 takes a free one (%(default)s)")
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar='[MODEL=]"500 requests/min"',
        help="a quota, of one model or of each; may be repeated (500 requests/min and 200000 tokens/min)",
    )
    parser.add_argument(
        "--enforcement",
        type=enforcement,
        default=minute(),
        metavar="minute|sliced:S|fixed:S",
        help="how quotas are held",
    )
    parser.add_argument("--latency", type=float, default=0.5, metavar="S", help="seconds an answer takes (%(default)s)")
    parser.add_argument("--no-headers", action="store_true", help="neither rate-limit nor retry headers")
    parser.add_argument("--free-refusals", action="store_true", help="a refused call pays nothing")
    parser.add_argument("--quota-after", type=int, metavar="N", help="insufficient_quota after N calls")
    parser.add_argument("--seed", type=int, default=0, help="of everything left to chance (%(default)s)")


def server_from(arguments: argparse.Namespace) -> ModelServer:
    """The server those options describe; raises `InvalidQuota`."""
    return ModelServer(
        limits_from(arguments.limit),
        enforcement=arguments.enforcement,
        latency=arguments.latency,
        headers=not arguments.no_headers,
        charge_refusals=not arguments.free_refusals,
        quota_after=arguments.quota_after,
        seed=arguments.seed,
    )


def limits_from(texts: Sequence[str]) -> Limits:
    """
    Limits as they are typed: ``500 requests/min`` for each model, ``gpt-4o=200k tokens/min`` for one.

    A model with quotas of its own has none of the others.
    """
    by_model: dict[str, list[str]] = {}
    for text in texts:
        model, equals, quota = text.rpartition("=")
        by_model.setdefault(model.strip() if equals else "*", []).append(quota)
    return {model: Quotas.of(quotas) for model, quotas in by_model.items()} or None


def enforcement(text: str) -> Enforcement:
    """``minute``, ``sliced:5`` or ``fixed:5``; raises ValueError."""
    kind, _, seconds = text.partition(":")
    if kind == "minute" and not seconds:
        return minute()
    if kind in ("sliced", "fixed") and seconds:
        return (sliced if kind == "sliced" else fixed)(float(seconds))
    raise ValueError(f"{text!r} is no enforcement: minute, sliced:5 or fixed:5")


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= _LAST_PORT:
        raise ValueError(text)
    return port


async def _run(arguments: argparse.Namespace) -> None:
    async with serving(
        server_from(arguments), host=arguments.host, port=arguments.port, say=lambda url: _line(sys.stdout, url)
    ) as url:
        try:
            await asyncio.Event().wait()
        finally:
            _line(sys.stderr, json.dumps(url.tally.report()))


def _line(stream: Any, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until interrupted; the tally goes to stderr at the end."""
    parser = argparse.ArgumentParser(
        prog="python -m ratelimit_client.testing.serve", description=__doc__.split("\n")[1]
    )
    add_arguments(parser)
    try:
        asyncio.run(_run(parser.parse_args(argv)))
    except KeyboardInterrupt:
        return 130
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
