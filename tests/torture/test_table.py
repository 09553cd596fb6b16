"""
The torture leaves nothing out: a coroutine that is new has to join.

Three tables, each of them held against the code: where every public coroutine is cancelled,
which awaits never stand still or cannot here, and which files belong to somebody else.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

import pytest

from tests.torture import (
    scenes_bulk,
    scenes_client,
    scenes_httpx,
    scenes_limiter,
    scenes_middleware,
    scenes_proxy,
    scenes_realtime,
    scenes_rows,
    scenes_server,
    scenes_store,
    scenes_stream,
)
from tests.torture.census import Await, awaits, public_coroutines
from tests.torture.plans import Report
from tests.torture.reports import report, report_on_sockets
from tests.torture.victim import Mode

PARTS = (
    scenes_limiter,
    scenes_rows,
    scenes_client,
    scenes_stream,
    scenes_realtime,
    scenes_middleware,
    scenes_httpx,
    scenes_server,
    scenes_bulk,
    scenes_proxy,
    scenes_store,
)
SCENES = {scene.__name__: scene for part in PARTS for scene in part.SCENES}

CANCELLED_IN = {
    "Attempt.check": "attempts",
    "Attempts.__anext__": "attempts",
    "Calling.call": "call",
    "Calling.limited": "limited",
    "Client.get": "get-vault",
    "Client.post": "post-vault",
    "Client.request": "post-vault",
    "Client.send": "post-vault",
    "Closing.__await__": "shared_closed",
    "Feeder.run": "job-parked",
    "Forwarded.piece": "forward",
    "Forwarder.close": "proxy_that_does_not_wait",
    "Forwarder.drain": "proxy",
    "Forwarder.forward": "forward",
    "Job.run": "job-small",
    "Lanes.moved": "job-parked",
    "Life.__aexit__": "client_life",
    "Life.close": "closing",
    "Life.drain": "client_drained",
    "Limiter.__aexit__": "limiter_life",
    "Limiter.drain": "limiter_drained",
    "MetricsPage.__aenter__": "page on sockets",
    "MetricsPage.__aexit__": "page",
    "MetricsPage.close": "page_by_hand",
    "MetricsPage.open": "page_by_hand on sockets",
    "ModelApp.handle": "model_server",
    "Permit.__aenter__": "permit",
    "Permit.__await__": "permit_awaited",
    "Proxy.__aenter__": "proxy on sockets",
    "Proxy.__aexit__": "proxy",
    "Proxy.close": "proxy_that_does_not_wait",
    "Proxy.drain": "proxy",
    "Proxy.open": "proxy on sockets",
    "Realtime.__aenter__": "realtime-talk",
    "Realtime.__aexit__": "realtime-talk",
    "Realtime.__anext__": "realtime-talk",
    "Realtime.close": "realtime-talk",
    "Realtime.send": "realtime-talk",
    "Results.__aexit__": "mapped",
    "Results.__anext__": "mapped",
    "Results.close": "mapped_and_left",
    "Source.batches": "job-small",
    "Stream.__aenter__": "read-vault-hard",
    "Stream.__anext__": "read-vault-hard",
    "UnknownModels.judge": "job-looking-on",
    "serve_model": "model_server",
    "serving": "model_server_of_a_program",
}
"""Public coroutines, and a scene in which each is cancelled."""

NEVER_STANDS_STILL = {
    "Attempt.__aexit__",
    "Life.__aenter__",
    "Limiter.__aenter__",
    "Output.sync",
    "Passed.prepare",
    "Passed.write_eof",
    "Permit.__aexit__",
    "Results.__aenter__",
    "Stream.__aexit__",
}
"""Public coroutines that wait for nothing, or for nothing here (see the awaits)."""

NOT_HERE = {
    "adapters/prometheus/apps.py": "it waits for nothing but the server that it is a part of",
    "adapters/prometheus/live_apps.py": "the same; and what tells events ends with the connection, in tests of its own",
    "adapters/ray/": "it runs in processes of Ray, which are killed in tests of its own",
    "bulk/engines/crew.py": "its workers are other processes: they are killed, and it is closed, in tests of its own",
    "bulk/engines/ray.py": "the same",
    "bulk/engines/worker.py": "the same",
    "bulk/ray_source.py": "a thread of Ray Data's hands it pieces, and it is closed in tests of its own",
    "adapters/redis/": "real sockets to a real server: its questions are cancelled in tests of its own",
    "adapters/httpx/sync.py": "for threads, which are interrupted and not cancelled, in tests of its own",
    "runtime/background.py": "a thread of its own, and those who wait for it are interrupted, in tests of its own",
    "cli/": "a program, which ends by signals: they are sent to it, and it is killed, in tests of its own",
    "testing/loop.py": "the loop itself: what runs on it is cancelled",
    "testing/network.py": "the same",
    "testing/turns.py": "the same",
}
"""Files, and why their coroutines are not cancelled here."""

_POOL = "a pool is opened without waiting for anything"
_INLINE = "a thread's work is done at once on a virtual loop, and a disk is not waited for"
_PIPE = "a virtual loop reads no pipes"
_FULL = "it takes a thousand parked rows; the wait is the one that Feeder.run has at its end"
_LONG = "a turn of the loop for others, after more lines than a scene has"
_PROGRAM = "a program, as the command line is"
_REAL_STORE = "a real server on real sockets: a program, to which signals are sent in tests of its own"
_ENDED = "a program closes it after its job, and to that signals are sent, in tests of its own"
_SMALL = "an answer of this size is written at once"

STANDS_NOWHERE = {
    "Answer._fill: await asyncio.sleep(0)": "a turn of the loop for others, after 4 MiB",
    "Body.aclose: await self._parts.aclose()": "what is left half-way is closed by the loop, in a task of its own",
    "Client.request: await self._requests.of(": _INLINE,
    "EventBody._read: await asyncio.sleep(0)": "a turn of the loop for others, after more events than a scene has",
    "Feeder._carry_out: return await self._edited(row)": _FULL,
    "Feeder._carry_out: return await self._end_new(row)": _FULL,
    "Feeder._carry_out: return len(self.walk.suspects) < SUSPECTS_CAP or await self._prove()": _FULL,
    "Feeder._edited: return await self._end_as_new(row)": _FULL,
    "Feeder._end_as_new: return await self._end_new(row)": _FULL,
    "Feeder._end_new: await self.lanes.moved()": _FULL,
    "Feeder._prove: await asyncio.sleep(0)": _LONG,
    "Feeder._prove: await self._end_new(duplicate(row, first))": _FULL,
    "Feeder._prove: elif not await self._end_as_new(row):": _FULL,
    "Feeder._walk: await asyncio.sleep(0)": _LONG,
    "Feeder._walk: async with contextlib.aclosing(self.source.batches(skip, busy=self._is_busy)) as batches:": (
        "closing it waits for nothing"
    ),
    "Feeder._walk: await self.lanes.moved()": _FULL,
    "Feeder._walk: elif row is not None and not await self._carry_out(step, row):": _FULL,
    "Job._tick: await self.output.sync()": _INLINE,
    "Journal.sync: await asyncio.get_running_loop().run_in_executor(None, _sync_into, self._syncing, self.disk, "
    "self.fd)": _INLINE,
    "Life.__aenter__: await self._limiter.__aenter__()": "entering a limiter waits for nothing",
    "LocalEngine.close: await self.client.close()": _ENDED,
    "LocalEngine.close: await self.client.limiter.close()": _ENDED,
    "LocalEngine.close: await self.store.close()": _ENDED,
    "LocalEngine.open: if self.store is not None and (why := await self.store.look()) is not None:": _REAL_STORE,
    'MetricsPage._answer: return await whole(request, web.Response(status=status, body=body, headers={"Content-Type": '
    "kind}))": _SMALL,
    "MetricsPage._listen: await runner.setup()": "it sets up and waits for nothing",
    "ModelApp._tell: await response.prepare(request)": _SMALL,
    'ModelApp._tell: await response.write(b"".join(events))': _SMALL,
    "ModelApp._tell: await response.write(event)": _SMALL,
    "ModelApp.handle: return await _half(request, answer, headers)": _SMALL,
    "Output.sync: await self.answers.sync()": _INLINE,
    "Output.sync: await self.errors.sync()": _INLINE,
    "Pieces.write: await self.write_with_length(writer, None)": "aiohttp takes the other way",
    "Pieces.write_with_length: await writer.drain()": "aiohttp's write of a piece has waited already",
    "Pieces.write_with_length: await writer.write(raw[:_FIRST_PIECE])": "so small that it does not wait",
    "Proxy.open: await runner.setup()": "it sets up and waits for nothing",
    "RetryLoop.next_turn: self._manager = await anext(self._loop)": "the first time tenacity waits for nothing",
    "Requests.of: content = as_json(json) if alone else await prepare(json, data, files)": _INLINE,
    "Results.__anext__: await rows.close()": "at the end nothing is under way",
    "Rows.close: await self._close_source()": "the feeder has closed it, or nothing has begun",
    "ShardedOutput.sync: await part.sync()": _INLINE,
    "Source.batches: while chunk := await _read_when_ready(self.fd):": _PIPE,
    "Stream.__aenter__: call = await prepare": _INLINE,
    "Speaker._do: await self._socket.close(code=step.close, drain=False)": _SMALL,
    "Speaker._next: await self._do(step, request)": _SMALL,
    "Speaker._next: await self._socket.pong(message.data)": _SMALL,
    "Speaker._say: await self._socket.send_bytes(text.encode())": _SMALL,
    "Speaker.run: await self._say(self._session.begin(wall_s=self._wall_s()))": _SMALL,
    "Speaker.run: await self._say(self._session.expired())": _SMALL,
    "Speaker.run: await socket.prepare(request)": _SMALL,
    "UnknownModels._look: await self._recall()": _LONG,
    "UnknownModels._recall: await asyncio.sleep(0)": _LONG,
    "Wire._open_pool: await anext(keeper)  # suspends for nothing": _POOL,
    "Wire._session_for_uploads: pool = self._pools.get(fresh) or await self._open_pool(fresh)": _POOL,
    "Wire._through_new_pool: pool = self._pools.get(fresh) or await self._open_pool(fresh)": _POOL,
    "Wire._through_session: session = self._given or await self._session_for_uploads(fresh)": _POOL,
    "Wire.close: await session.close()": "its connector is not its own",
    "_call: given = await _in_a_thread(ask)": _INLINE,
    "_child.<locals>.serve: async with serve_model(limits, host=host, port=port, **options) as url:": _PROGRAM,
    "_child.<locals>.serve: await ended.wait()": _PROGRAM,
    "_close: await inner.aclose()": "a task of its own, which nobody cancels",
    "_from_form: raw = await payload.as_bytes()": _INLINE,
    "_half: await response.prepare(request)": _SMALL,
    "_half: await response.write(answer.body[: len(answer.body) // 2])": _SMALL,
    "_in_a_thread: await asyncio.to_thread(fetch)": _INLINE,
    "_read_when_ready: await asyncio.sleep(0)  # it may never end, and signals have to be heard": _PIPE,
    "_read_when_ready: await ready": _PIPE,
    "_read_when_ready: return await _read_when_ready(fd)": _PIPE,
    "_run: async with serving(": _PROGRAM,
    "_run: await asyncio.Event().wait()": _PROGRAM,
    "prepare: return await _from_form(data)": _INLINE,
    "respond: await response.prepare(request)": _SMALL,
    "respond: await response.write(event)": _SMALL,
    "respond: await response.write_eof()": _SMALL,
    "respond: return None if found is None else await whole(request, web.Response(body=found.body, "
    "headers=found.headers))": _SMALL,
    "serve_model: await runner.setup()": "it sets up and waits for nothing",
    "whole: await response.prepare(request)": _SMALL,
    "whole: await response.write_eof()": _SMALL,
}
"""Awaits, by function and line, at which nobody ever stands when he is cancelled, and why."""


def report_of(name: str) -> Report:
    """What came of a scene; of the order of tasks that is asyncio's own."""
    if name.endswith(" on sockets"):
        return report_on_sockets(SCENES[name.removesuffix(" on sockets")])
    return report(SCENES[name])


@functools.cache
def all_met() -> set[tuple[str, str, int]]:
    """Every line of the library at which somebody stood when cancelled, in any scene."""
    on_sockets = [report_on_sockets(scene) for scene in (*scenes_server.SCENES, *scenes_proxy.SERVED)]
    reports = [report_of(name) for name in SCENES] + on_sockets
    return {place for each in reports for _, place in each.stood}


def test_scenes_have_names_of_their_own() -> None:
    """So that a table can name them."""
    assert len(SCENES) == sum(len(part.SCENES) for part in PARTS)


def test_every_public_coroutine_is_in_the_table() -> None:
    """One that is new is cancelled in a scene, or never waits."""
    here = {name for name, function in public_coroutines().items() if not _is_elsewhere(_file_of(function))}
    assert set(CANCELLED_IN) | NEVER_STANDS_STILL == here
    assert not set(CANCELLED_IN) & NEVER_STANDS_STILL


@pytest.mark.parametrize("name", CANCELLED_IN)
def test_it_is_cancelled_where_the_table_says(name: str) -> None:
    """Asleep and woken, at one of its own awaits at least; a plain function hands on a coroutine that is."""
    stood = report_of(CANCELLED_IN[name]).stood
    code = inspect.unwrap(public_coroutines()[name]).__code__
    if code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        modes = {mode for mode, (_, function, _) in stood if function == code.co_qualname}
        assert {Mode.ASLEEP, Mode.WOKEN} <= modes


def test_every_await_is_met() -> None:
    """At each line at which the library may wait somebody waited and was cancelled, or the table says why not."""
    missing = {_name(one) for place, one in awaits().items() if _counts(one) and place not in all_met()}
    assert missing == set(STANDS_NOWHERE)


@pytest.mark.parametrize("name", sorted(NEVER_STANDS_STILL))
def test_it_never_stands_still(name: str) -> None:
    """It has no await, or none that waits."""
    code = inspect.unwrap(public_coroutines()[name]).__code__
    inside = {_name(one) for (_, function, _), one in awaits().items() if function == code.co_qualname}
    assert inside <= set(STANDS_NOWHERE)


def _counts(one: Await) -> bool:
    # Neither end of a timeout waits.
    return not _is_elsewhere(one.file) and not one.text.startswith("async with asyncio.timeout(")


def _name(one: Await) -> str:
    return f"{one.function}: {one.text}"


def _is_elsewhere(file: str) -> bool:
    return any(file.startswith(part) for part in NOT_HERE)


def _file_of(function: Any) -> str:
    return str(inspect.unwrap(function).__code__.co_filename.partition("/ratelimit_client/")[2])
