"""
``serve``: the proxy as a program.

Law of this file: one line on stdout says where it listens and what to set. It lends no key
unless it was told to, and whoever could reach it is told before anybody does. The first
signal lets calls under way end, the second does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from ...adapters.aiohttp.forwarder import Forwarder
from ...adapters.aiohttp.url import OPENAI
from ...bulk.state import State, load, save
from ...core.retry import RetryPolicy
from ...dialects.registry import AUTO, detect
from ...errors import ConfigurationError
from ...proxy.files import allow_more
from ...proxy.server import Proxy
from ...runtime.limiter import Limiter
from ..args import Request
from ..metrics import say
from ..options import quotas_by_model
from ..target import base_url, store_of
from ..voice import Voice, log_events_of, logging_to

if TYPE_CHECKING:
    from ...adapters.redis import RedisStore

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_OWN = "own"


def main(request: Request, voice: Voice) -> int:
    """Serve until a signal comes."""
    options = request.options
    # Not OPENAI_BASE_URL: where programs are told to use the proxy, that is the proxy.
    upstream = base_url(options["upstream"] or OPENAI)
    if options["state"] and options["credentials"] != _OWN:
        raise ConfigurationError(
            "--state goes with --credentials own: the limits of callers are learnt with their keys, which are not kept"
        )
    allow_more()  # before the limiter looks how many calls there are files for
    learnt = load(options["state"], now_s=time.time()) if options["state"] else State()
    store = store_of(options, url=upstream, own=options["credentials"] == _OWN)
    limiter = _limiter(options, upstream, store)
    forwarder = _forwarder(options, upstream, limiter)
    for key, quotas in learnt.of(upstream).items():
        limiter.expect(key, quotas)
    proxy = Proxy(
        forwarder,
        host=options["host"],
        port=options["port"],
        hosts=options["allow_host"] or (),
        origins=options["allow_origin"] or (),
        most_body=options["max_body"] * 2**20,
        most_held=options["max_held"] * 2**20,
    )
    with logging_to(voice):
        log_events_of(limiter)
        code = asyncio.run(_serve(proxy, store, options, voice))
    if options["state"]:
        _save(options["state"], learnt.after(upstream, limiter.statistics(), now_s=time.time()), voice)
    return code


def _limiter(options: Mapping[str, Any], upstream: str, store: RedisStore | None) -> Limiter:
    dialect = options["dialect"]
    if dialect == AUTO:
        found = detect(url=upstream)
        dialect = found if found.is_vendors else dialect
    try:
        return Limiter(
            quotas_by_model(options["limit"] or ()),
            name="proxy",
            dialect=dialect,
            max_in_flight=options["max_in_flight"],
            max_queue=options["max_queue"],
            retry=RetryPolicy(max_attempts=options["max_attempts"]),
            store=store,
        )
    except LookupError as error:
        raise ConfigurationError(f"--dialect: {error.args[0] if error.args else error}") from None


def _forwarder(options: Mapping[str, Any], upstream: str, limiter: Limiter) -> Forwarder:
    own = options["credentials"] == _OWN
    if own and not os.environ.get("OPENAI_API_KEY", "").strip():
        raise ConfigurationError("--credentials own needs a key: set OPENAI_API_KEY, or let callers send theirs")
    return Forwarder(
        upstream,
        limiter=limiter,
        api_key=os.environ.get("OPENAI_API_KEY") if own else None,
        organization=os.environ.get("OPENAI_ORG_ID") if own else None,
        project=os.environ.get("OPENAI_PROJECT_ID") if own else None,
        default_query=dict(options["query"] or ()),
        allow_insecure=options["allow_insecure"],
    )


def _save(path: str, state: State, voice: Voice) -> None:
    try:
        save(path, state)
    except OSError as error:
        voice.say(f"{path} could not be written: {error.strerror}", level="warning")


# -- while it serves ------------------------------------------------------------------


@attrs.define(eq=False)
class _Stopping:
    """
    The signals so far.

    Args:
        first: the first came.
        again: another came.
    """

    first: asyncio.Event = attrs.field(factory=asyncio.Event)
    again: asyncio.Event = attrs.field(factory=asyncio.Event)
    number: int = 0

    def on_signal(self, number: int) -> None:
        """One came."""
        (self.again if self.number else self.first).set()
        self.number = self.number or number


async def _serve(proxy: Proxy, store: RedisStore | None, options: Mapping[str, Any], voice: Voice) -> int:
    with _signals() as stopping:
        if store is not None and (why := await store.look()) is not None:
            words = f"{why}; calls go on with this process's part of the limits until it is there"
            voice.say(words, level="warning")
        try:
            await proxy.open()
        except OSError as error:
            address = f"{options['host']}:{options['port']}"
            unknown = isinstance(error, socket.gaierror)
            what_to_do = "--host names an address of this machine" if unknown else "--port 0 takes a free port"
            words = f"cannot listen on {address}: {error.strerror or error}; {what_to_do}"
            raise ConfigurationError(words) from None
        try:
            async with _page(options["metrics"], proxy.forwarder, voice):
                _tell(proxy, options["host"], voice)
                gc.freeze()  # what stands now stands to the end: no need to look at it again
                await stopping.first.wait()
                return await _stop(proxy, options["grace"], stopping, voice)
        finally:
            await proxy.close()
            if store is not None:
                await store.close()


def _tell(proxy: Proxy, host: str, voice: Voice) -> None:
    """Where it listens, and who could spend what."""
    lends = proxy.forwarder.lends
    if not proxy.private:
        what = "spends with the key of this proxy" if lends else "may send calls through it"
        voice.say(
            f"WARNING: listening on {host} for more than this machine: whoever reaches it {what}, and keys and prompts "
            "come to it unencrypted; put it behind something that asks who they are, or leave --host out",
            level="warning",
        )
    print(f"listening on {proxy.url} for {proxy.forwarder.upstream}: OPENAI_BASE_URL={proxy.url}", flush=True)
    borrowers = "on this machine" if proxy.private else "that reaches it"
    whose = f"OPENAI_API_KEY, lent to every program {borrowers}" if lends else "the caller's key"
    voice.say(f"calls go with {whose}; {proxy.url.removesuffix('/v1')}/healthz says how it is; Ctrl-C ends it")


async def _stop(proxy: Proxy, grace_s: float, stopping: _Stopping, voice: Voice) -> int:
    """Drain; 0 when every call has ended."""
    limiter = proxy.forwarder.limiter
    voice.say(
        f"{signal.Signals(stopping.number).name}: no further calls; waiting for at most {grace_s:g} s for "
        f"{limiter.in_flight} under way and {limiter.queued} queued; once more ends it at once"
    )
    draining = asyncio.create_task(proxy.drain(grace_s), name="drain")
    hurried = asyncio.create_task(stopping.again.wait(), name="signal")
    await asyncio.wait([draining, hurried], return_when=asyncio.FIRST_COMPLETED)
    ended = draining.done() and draining.result()
    for task in (draining, hurried):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    tally = proxy.forwarder.tally
    voice.say(f"answered {tally.outcomes.total()} calls" + ("" if ended else f"; {limiter.in_flight} broken off"))
    return 0 if ended else 128 + stopping.number


@contextlib.contextmanager
def _signals() -> Iterator[_Stopping]:
    loop, stopping = asyncio.get_running_loop(), _Stopping()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping.on_signal, number)
    try:
        yield stopping
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _page(address: str | None, forwarder: Forwarder, voice: Voice) -> AsyncIterator[None]:
    """Its metrics, if they are asked for."""
    if address is None:
        yield
        return
    from prometheus_client import CollectorRegistry

    from ...adapters.prometheus import MetricsPage, watch

    registry = CollectorRegistry()
    watch(forwarder, registry)
    async with MetricsPage(address, registry) as shown:
        say(shown, voice)
        yield
