"""
Bugs that were planted on purpose.

Law of this file: each is the kind of mistake that a tired engineer makes in one
line, and each breaks a promise of the README. The suite has to find all of them; one
that is not found is a hole in the suite, not in this list.

The text that is replaced has to stand in its file exactly once, so a bug that can
no longer be planted says so.
"""

from __future__ import annotations

import attrs

from tests.planted.of_metrics import METRICS


@attrs.frozen
class Bug:
    """
    Args:
        name: a handle.
        breaks: the promise that no longer holds.
        file: below src/ratelimit_client.
        old, new: what is replaced by what.
        tests: where the suite looks, most telling first; paths below tests/.
        hangs: being found may mean that a test never ends.
    """

    name: str
    breaks: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    hangs: bool = False


BUGS = (
    Bug(
        "lost wake-up",
        "a slot that comes free is given to whoever waits for it",
        "runtime/dispatcher.py",
        "        if self.waiting or self._resting or self.instruments.listening:\n            self._something_changed()\n",
        "        if self._resting or self.instruments.listening:\n            self._something_changed()\n",
        ("runtime/test_dispatcher.py", "runtime/test_limiter.py"),
        hangs=True,
    ),
    Bug(
        "reservation leaked on cancel at grant",
        "a grant that meets a cancellation on its way is given back",
        "runtime/waiting.py",
        "            self._permit = None\n            permit.not_granted()\n",
        "            self._permit = None\n            if permit.ticket.waiter is not None:\n"
        "                permit.not_granted()\n",
        ("torture/test_limiter.py",),
        hangs=True,
    ),
    Bug(
        "slot kept when the body raises",
        "whoever gets in gets out, whatever happens between",
        "runtime/permit.py",
        "            ending = self._ending(error, failure)\n        finally:\n            self._release(ending)\n",
        "            ending = self._ending(error, failure)\n        finally:\n"
        "            if failure is None:\n                self._release(ending)\n",
        ("runtime/test_permit.py", "runtime/test_attempts.py"),
        hangs=True,
    ),
    Bug(
        "double refund",
        "what was not sent comes back once",
        "core/budget.py",
        "        ticket.unpay()\n",
        "        ticket.bill = (*ticket.bill[:2], None)\n",
        ("core/test_scheduler.py", "core/test_machine.py"),
    ),
    Bug(
        "settled twice",
        "what is said again takes the place of what was said before",
        "core/settling.py",
        "        charged = before.get(unit, ticket.amount(unit))\n",
        "        charged = ticket.amount(unit)\n",
        ("core/test_scheduler_running.py", "core/test_machine.py"),
    ),
    Bug(
        "stale header accepted",
        "an older snapshot never undoes a newer one",
        "core/readings.py",
        "        if snapshot.order <= max(self.last_order, self.counts_after):\n            return None\n",
        "",
        ("core/test_readings.py", "core/test_observing.py"),
    ),
    Bug(
        "debits taken as arrived at once",
        "a reading is never thought to have seen what was still on its way",
        "core/debits.py",
        "        settled_ns = now_ns - jitter_ns\n",
        "        settled_ns = now_ns\n",
        ("core/test_debits.py", "test_models.py"),
    ),
    Bug(
        "reserve ignored",
        "one per cent is kept back for what nobody foresees",
        "core/budget.py",
        "                if left < bucket.reserve:\n",
        "                if left < 0:\n",
        ("core/test_charging_at_once.py", "core/test_machine.py"),
    ),
    Bug(
        "charge of the first unit only",
        "a call pays in every bucket or in none",
        "core/budget.py",
        "        for unit, amount in ticket.cost.pairs:\n            till = tills.get(unit) or debits.till(unit)\n",
        "        for unit, amount in ticket.cost.pairs[:1]:\n            till = tills.get(unit) or debits.till(unit)\n",
        ("core/test_budget.py", "core/test_machine.py"),
    ),
    Bug(
        "a bucket that overflows",
        "no window ever sees more than the limit and its refill",
        "core/budget.py",
        "                    if credits_ > bucket.brim:\n                        credits_ = bucket.brim\n",
        "",
        ("core/test_charging_in_pairs.py", "core/test_machine.py"),
    ),
    Bug(
        "a window that steps early",
        "nothing of the next window is spent in this one",
        "core/bucket.py",
        "        if self.steps_at_ns is None or now_ns < self.steps_at_ns:\n            return\n",
        "        if self.steps_at_ns is None or now_ns < self.steps_at_ns - self.window_ns // 50:\n            return\n",
        ("core/test_bucket.py",),
    ),
    Bug(
        "a shorter hint undoes a longer one",
        "nobody calls before the server asked to be called",
        "core/bucket.py",
        "        self.gate_ns = max((each.until_ns for each in self.hints), default=0)\n",
        "        self.gate_ns = hint.until_ns\n",
        ("core/test_hints.py", "core/test_bucket.py"),
    ),
    Bug(
        "retry before its time",
        "an attempt never comes earlier than the server asked",
        "core/retry.py",
        "    return max(hint_ns, floor_ns) + int(spread_ns * dice())\n",
        "    return hint_ns - int(spread_ns * dice())\n",
        ("core/test_retry.py", "core"),
    ),
    Bug(
        "a call sent back loses its rank",
        "a retry stands where it stood",
        "core/scheduler.py",
        "        ticket.state = _QUEUED\n        ticket.begin_again()\n",
        "        self._seq += 1\n        ticket.seq = self._seq\n        ticket.state = _QUEUED\n        ticket.begin_again()\n",
        ("core/test_scheduler.py", "core/test_queue.py", "core"),
    ),
    Bug(
        "one call too many in flight",
        "max_in_flight is never exceeded",
        "core/serving.py",
        "        if scheduler.in_flight >= scheduler.max_in_flight:\n            if queue.ready:\n",
        "        if scheduler.in_flight > scheduler.max_in_flight:\n            if queue.ready:\n",
        ("core/test_serving.py", "core/test_machine.py"),
    ),
    Bug(
        "deadline forgotten in the queue",
        "a call whose deadline passes in the queue leaves it then",
        "core/joining.py",
        "        check_reachable(state, ticket, now_ns)\n        scheduler.agenda.end_at(ticket, ticket.deadline_ns)\n",
        "        check_reachable(state, ticket, now_ns)\n",
        ("core/test_scheduler.py", "core/test_machine.py", "core"),
        hangs=True,
    ),
    Bug(
        "the worse bands' tenth is not kept",
        "a waiting band gets a tenth of the refill",
        "core/serving.py",
        "            if costs or bucket.bands is not None:\n",
        "            if costs and bucket.bands is not None:\n",
        ("core/test_holds.py", "core/test_serving.py", "core"),
    ),
    Bug(
        "an escrow outlives its call",
        "what was set aside for a cancelled call is everyone's again",
        "core/scheduler.py",
        "            for bucket in buckets:\n                if bucket.escrow is not None:\n",
        "            for bucket in buckets[:0]:\n                if bucket.escrow is not None:\n",
        ("core/test_serving.py", "core/test_machine.py"),
    ),
    Bug(
        "a grant on the fast path counts for nobody",
        "tenants share, however their calls came in",
        "core/queue.py",
        "        lane.tag = self.now_tag + share\n",
        "        lane.tag = self.now_tag\n",
        ("core/test_queue.py", "core/test_scheduler.py", "core"),
    ),
    Bug(
        "everybody probes",
        "in an outage one call asks and the others wait",
        "core/outage.py",
        "        self.next_probe_ns = now_ns + _interval_ns(self.probes)\n",
        "        self.next_probe_ns = now_ns\n",
        ("core/test_outage.py",),
    ),
    Bug(
        "drain does not wait",
        "drain returns when nothing is out",
        "runtime/loop_bound.py",
        "        return not (self.waiting or self.out or self.pausing)\n",
        "        return not (self.waiting or self.pausing)\n",
        ("runtime/test_loop_bound.py", "runtime/test_limiter.py", "runtime"),
    ),
    Bug(
        "a cut gzip stream is a success",
        "a body that was cut short is never a success",
        "adapters/aiohttp/body.py",
        "            if not self._inflate.eof:\n",
        "            if False:\n",
        ("adapters/aiohttp/test_body.py",),
    ),
    Bug(
        "the answer to somebody else",
        "the result of a call is the server's answer to it",
        "adapters/aiohttp/pool.py",
        "            if as_new(handler):\n                handler.idle = False\n                return handler\n",
        "            if True:\n                handler.idle = False\n                return handler\n",
        ("adapters/aiohttp/test_pool.py", "adapters/aiohttp"),
    ),
    Bug(
        "the key in a copy",
        "the key is in no pickle",
        "runtime/secret.py",
        "        return _masked, (self._mask,)\n",
        "        return Secret, (self._value,)\n",
        ("runtime/test_secret.py", "adapters/aiohttp/test_secrets.py"),
    ),
    Bug(
        "torn tail kept",
        "a journal holds whole lines only",
        "bulk/journal.py",
        "        disk.truncate(fd, tail.keep)\n",
        "        pass\n",
        ("bulk/test_journal.py",),
    ),
    Bug(
        "not synced at the end",
        "what the run says is done is on the disk",
        "bulk/journal.py",
        "        if self._dirty and self.durable:\n            try:\n                self.disk.sync(self.fd)\n",
        "        if self._dirty and not self.durable:\n            try:\n                self.disk.sync(self.fd)\n",
        ("bulk/test_journal.py", "bulk/test_disk.py"),
    ),
    Bug(
        "a write that failed half-way is written twice",
        "each row has exactly one line",
        "bulk/journal.py",
        "            text = text[self._arrived(end, len(text)) :]\n",
        "            pass\n",
        ("cli/test_disk.py",),
    ),
    Bug(
        "finished rows of the errors file run again",
        "no row is paid for twice without need",
        "bulk/ledger.py",
        "        self.table.record(mark, row_bits(finished.id), state)\n",
        "        if state is State.DONE:\n            self.table.record(mark, row_bits(finished.id), state)\n",
        ("bulk/test_ledger.py", "bulk"),
    ),
    Bug(
        "a stream that is cut off is a success",
        "a stream without its last event is never a success",
        "adapters/aiohttp/events.py",
        "        if not self.reader.end(self._parser.end()):\n",
        "        if not self.reader.end(self._parser.end()) and self._parser.comments:\n",
        ("adapters/aiohttp/test_stream.py", "torture/test_client.py"),
    ),
    Bug(
        "what came before the break is lost",
        "what was delivered before an error is delivered",
        "adapters/aiohttp/events.py",
        "            piece = content._read_nowait(-1)\n",
        '            piece = b""\n',
        ("adapters/aiohttp/test_stream.py",),
    ),
    Bug(
        "a stream is held back until its end",
        "events come as they are sent",
        "adapters/aiohttp/events.py",
        "            while not (self.reader.begun or self.reader.over or self._waits_for_much()):\n",
        "            while not self.reader.over:\n",
        ("adapters/aiohttp/test_stream.py",),
        hangs=True,
    ),
    Bug(
        "comments keep a stream alive",
        "a server that says nothing does not hold a place for ever",
        "adapters/aiohttp/events.py",
        "        return self._seen\n",
        "        return self._seen + self._parser.comments\n",
        ("adapters/aiohttp/test_stream.py",),
    ),
    Bug(
        "a held place is freed at once",
        "a slot lives as long as the body",
        "runtime/attempts.py",
        "            if self._held:\n                self._guard = BARE\n",
        "            if self._held and self.number > 1:\n                self._guard = BARE\n",
        ("runtime/test_holding.py", "adapters/aiohttp/test_stream.py"),
    ),
    Bug(
        "an error inside a stream teaches nothing",
        "what a refusal asks to wait holds for all",
        "runtime/permit.py",
        "        self._desk.dispatcher.heard(self.ticket, signals)\n",
        "        pass\n",
        ("adapters/aiohttp/test_stream.py", "runtime"),
    ),
    Bug(
        "connection given back twice",
        "a connection carries one answer at a time",
        "adapters/aiohttp/forwarding.py",
        "        if self._closed:\n            return\n        self._closed = True\n        if self._attempt",
        "        if self._attempt",
        ("adapters/aiohttp/test_forwarder.py", "torture/test_proxy.py"),
    ),
    Bug(
        "half an answer ended as if whole",
        "what broke off breaks off for the caller, too",
        "proxy/passing.py",
        "    except Broken:\n        _break_off(request, told=framed or chunked)\n        raise\n",
        '    except Broken:\n        _write(request, _LAST_CHUNK if chunked else b"")\n        raise\n',
        ("proxy/test_passing.py",),
        hangs=True,
    ),
    Bug(
        "key mixed",
        "with a key of our own no credential of a caller's goes along",
        "adapters/aiohttp/forwarder.py",
        "if lowered in _OURS or (lends and lowered in CREDENTIALS):",
        "if lowered in _OURS:",
        ("proxy/test_server.py",),
    ),
    Bug(
        "rebinding let in",
        "a proxy answers to its own names only",
        "proxy/guests.py",
        'name.endswith(".localhost")',
        'name.endswith("localhost.evil.example")',
        ("proxy/test_guests.py",),
    ),
    Bug(
        "a session's place is free with the head",
        "a slot lives as long as the body",
        "adapters/aiohttp/endings.py",
        "        _watch(connection.protocol, ending)\n        attempt.hold()\n",
        "        _watch(connection.protocol, ending)\n",
        ("adapters/aiohttp/test_middleware_places.py",),
    ),
    Bug(
        "a used-up body is sent again",
        "nobody is sent an empty body",
        "adapters/aiohttp/middleware.py",
        "    if once:\n        attempt.replayable = False\n    return response\n",
        "    return response\n",
        ("adapters/aiohttp/test_middleware_limits.py",),
    ),
    Bug(
        "a session repeats beside the policy",
        "retries are of one layer only",
        "adapters/aiohttp/middleware.py",
        "        if this.ended is not None:\n            raise this.ended\n",
        "",
        ("adapters/aiohttp/test_middleware.py",),
    ),
    Bug(
        "a cancellation of the total timeout is left over",
        "a deadline never leaks into code that comes after",
        "adapters/aiohttp/sessions.py",
        "        task.uncancel()\n",
        "        pass\n",
        ("adapters/aiohttp/test_middleware_limits.py",),
    ),
    Bug(
        "an error that nobody gets keeps its connection",
        "whatever is cancelled, nothing is held afterwards",
        "adapters/aiohttp/middleware.py",
        "        response.close()  # nobody will get it\n",
        "        pass\n",
        ("adapters/aiohttp/test_middleware.py", "torture/test_middleware.py"),
    ),
    Bug(
        "a place beneath an SDK is free with the head",
        "a slot lives as long as the body",
        "adapters/httpx/exchange.py",
        "                        attempt.hold()\n",
        "                        pass\n",
        ("adapters/httpx/test_bodies.py",),
    ),
    Bug(
        "an SDK is not told to stand down",
        "retries are of one layer only",
        "adapters/httpx/exchange.py",
        "        if self.tries_again and attempt.replayable:\n",
        "        if not self.tries_again and attempt.replayable:\n",
        ("adapters/httpx/test_transport.py", "adapters/httpx/test_sdks.py"),
    ),
    Bug(
        "half a body counts as sent whole",
        "a body that cannot be replayed is not sent again",
        "adapters/httpx/bodies.py",
        "        self._attempt.replayable = False\n        async for",
        "        async for",
        ("adapters/httpx/test_transport.py",),
    ),
    Bug(
        "a dropped body keeps its connection",
        "whatever is dropped, nothing is held afterwards",
        "adapters/httpx/bodies.py",
        "        if not self._closed and not self._loop.is_closed():\n",
        "        if self._closed and not self._loop.is_closed():\n",
        ("adapters/httpx/test_bodies.py",),
    ),
    Bug(
        "an error stays packed for the policy",
        "an exhausted quota is never tried again",
        "adapters/httpx/exchange.py",
        "            body = self._plain(response, raw)\n",
        "            body = raw\n",
        ("adapters/httpx/test_transport.py",),
    ),
    Bug(
        "what a block says is said for ever",
        "nothing of it is left after the block",
        "runtime/options.py",
        "        _said.reset(self._tokens.pop())\n",
        "        self._tokens.pop()\n",
        ("runtime/test_options.py",),
    ),
    Bug(
        "place kept behind a response that failed",
        "a place is free at the last word on its response, whatever that says",
        "adapters/aiohttp/asks.py",
        "        permit.finish(None if signals is not None else asyncio.CancelledError())\n",
        "        if signals is not None and signals.reason is Reason.OK:\n            permit.finish()\n",
        ("adapters/aiohttp/test_asks.py", "adapters/aiohttp/test_realtime.py"),
        hangs=True,
    ),
    Bug(
        "a ping is answered when somebody reads",
        "a session lives whether anybody reads or not",
        "adapters/aiohttp/websocket.py",
        "            self._control(message[1], WSMsgType.PONG)\n",
        '            self._owner.came(b\'{"type":"ping"}\', True)\n',
        ("adapters/aiohttp/test_websocket.py",),
    ),
    Bug(
        "what waited for its turn is forgotten",
        "what was to be said and never left is told",
        "adapters/aiohttp/conversation.py",
        "        self._never = tuple(self._queued.values())\n",
        "        self._never = ()\n",
        ("adapters/aiohttp/test_realtime_ends.py",),
    ),
    Bug(
        "limits behind the last word are dropped",
        "limits that are told keep the server from refusing",
        "core/scheduler.py",
        "ticket.state is _ANSWERED or ticket.state is _RESTING:\n",
        "ticket.state is _ANSWERED:\n",
        ("runtime/test_hearing.py", "adapters/aiohttp/test_realtime.py"),
    ),
    *(Bug(*each) for each in METRICS),
)
