"""
A server with true quotas that a test can hold in its hand.

Law of this file: the model server is told the time and never asks for it, does no
input or output, and draws all chance from one seed. What it decides it decides at the
arrival of a call: admission, charge, the headers, how long the answer takes and how it
ends. Whoever carries the answer (the aiohttp app, a simulation) waits ``latency_ns`` and
sends it.

    server = ModelServer(per_minute(requests=3))
    answer = server.request(model="gpt-4o", chars=400, now_ns=0)
    answer.status, answer.headers["x-ratelimit-remaining-requests"]     # 200, "2"

Time zero is the first call: schedules (outsiders, changes, faults) count from there, and
all buckets are full then.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import attrs

from ..core.quota import Quota, Quotas, per_minute
from ..core.units import NS, to_ns
from ..dialects.openai_writing import STATUS, ErrorKind
from . import front
from .account import Account, Refusal
from .answers import NOBODY, Answer, Caller, Ending, RefusalText
from .charging import Ask, Charge, by_characters
from .conduct import Change, Constant, Faults, Latency, Outsiders
from .conduct import latency as as_latency
from .enforcement import Enforcement, minute
from .lies import Liar, Lies
from .ramp import Ramp, RampMeter
from .realtime import RealtimeConduct
from .showing import Choice, Showing, binding, honest, silent
from .showing import showing as as_showing
from .streaming import StreamOptions
from .tally import Tally

Limits = Quota | str | Iterable[Quota | str] | Mapping[str, Any] | None
"""Quotas for every model, or a mapping by model or limit group with ``"*"`` for the rest."""

Snapshots = Mapping[str, str | Sequence[tuple[float, str]]]

_NO_OTHERS: Mapping[str, int] = {}
_OF_STREAMS = frozenset({"stream_error", "unfinished"})


def _by_key(limits: Limits) -> dict[str, Quotas]:
    if limits is None:
        return {"*": per_minute(requests=500, tokens=200_000)}
    if isinstance(limits, Mapping):
        return {name: Quotas.of(quotas) for name, quotas in limits.items()}
    return {"*": Quotas.of(limits)}


def _by_unit(kinds: Enforcement | Mapping[str, Enforcement]) -> dict[str, Enforcement]:
    return {"*": kinds} if isinstance(kinds, Enforcement) else {"*": minute(), **kinds}


def _all_faults(value: Faults | Iterable[Faults]) -> tuple[Faults, ...]:
    return (value,) if isinstance(value, Faults) else tuple(value)


def _all_outsiders(value: Outsiders | Iterable[Outsiders]) -> tuple[Outsiders, ...]:
    return (value,) if isinstance(value, Outsiders) else tuple(value)


def _all_changes(value: Change | Iterable[Change]) -> tuple[Change, ...]:
    return (value,) if isinstance(value, Change) else tuple(value)


def _default_text(server: ModelServer) -> RefusalText:
    return RefusalText.BARE if server.headers == silent() else RefusalText.FULL


@attrs.define(eq=False, repr=False)
class ModelServer:
    """
    An OpenAI server without the models.

    Args:
        limits: quotas of each model (each has buckets of its own), or a mapping with
            ``"*"`` for the rest; 500 requests and 200 000 tokens a minute when None.
            Units: requests, tokens, project-requests, project-tokens; others are charged
            what ``request(others=...)`` says.
        groups: model -> name of the limit group it shares with others.
        models: the known ones; any other is a 404. None: every name is known.
        snapshots: model -> the name that answers give, or [(from_s, name), ...].
        enforcement: how quotas are held; a mapping sets it by unit, ``"*"`` the rest.
        headers: True, False (neither rate-limit nor retry headers) or a `Showing`.
        choice: which of several quotas of one unit the headers show.
        retry_headers: refusals carry retry-after and retry-after-ms.
        refusal_text: how much the body of a refusal tells; BARE when the headers are silent.
        charge: tokens a call pays.
        charge_refusals: a refused call pays its request (OpenAI), or nothing.
        lies: what the headers tell instead of the truth; see `Lies`.
        latency, refusal_latency: seconds, or what draws them.
        streaming: seconds from the first event of a stream to its last, or what draws them.
        faults, outsiders, changes: one or several; see `Faults`, `Outsiders`, `Change`.
        quota_after: calls admitted before the account has no money left; 0: at once.
        max_in_flight: calls under way beyond which it answers 503 overloaded.
        ramp: how fast the rate of each model may grow before it answers 429 slow_down; see `Ramp`.
        realtime: how sockets are treated; see `RealtimeConduct`.
        api_keys: the accepted ones; None: no key is looked at.
        organization, project: what answers name when the request names none.
        base_path: where the endpoints are, for ``handle``.
        seed: of everything that is left to chance.
        epoch_s: the date of time zero, for ``created``.

    Times are seconds where they are typed, and nanoseconds in ``now_ns``, of which only
    differences count; calls come in the order of their instants. ``tally`` is the log.

    Raises:
        InvalidQuota, ValueError, TypeError: what was typed cannot be.
    """

    limits: dict[str, Quotas] = attrs.field(default=None, converter=_by_key)
    groups: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    models: Collection[str] | None = attrs.field(default=None, kw_only=True)
    snapshots: Snapshots = attrs.field(factory=dict, kw_only=True)
    enforcement: dict[str, Enforcement] = attrs.field(factory=minute, converter=_by_unit, kw_only=True)
    headers: Showing = attrs.field(factory=honest, converter=as_showing, kw_only=True)
    choice: Choice = attrs.field(default=binding, kw_only=True)
    retry_headers: bool = attrs.field(default=True, kw_only=True)
    refusal_text: RefusalText = attrs.field(default=attrs.Factory(_default_text, takes_self=True), kw_only=True)
    charge: Charge = attrs.field(default=by_characters, kw_only=True)
    charge_refusals: bool = attrs.field(default=True, kw_only=True)
    latency: Latency = attrs.field(default=Constant(0.0), converter=as_latency, kw_only=True)
    refusal_latency: Latency = attrs.field(default=Constant(0.005), converter=as_latency, kw_only=True)
    streaming: Latency = attrs.field(default=Constant(0.0), converter=as_latency, kw_only=True)
    faults: tuple[Faults, ...] = attrs.field(default=(), converter=_all_faults, kw_only=True)
    outsiders: tuple[Outsiders, ...] = attrs.field(default=(), converter=_all_outsiders, kw_only=True)
    changes: tuple[Change, ...] = attrs.field(default=(), converter=_all_changes, kw_only=True)
    lies: Lies | None = attrs.field(default=None, kw_only=True)
    quota_after: int | None = attrs.field(default=None, kw_only=True)
    max_in_flight: int | None = attrs.field(default=None, kw_only=True)
    ramp: Ramp | None = attrs.field(default=None, kw_only=True)
    realtime: RealtimeConduct = attrs.field(factory=RealtimeConduct, kw_only=True)
    api_keys: Collection[str] | None = attrs.field(default=None, repr=False, kw_only=True)
    organization: str | None = attrs.field(default="org-model-server", kw_only=True)
    project: str | None = attrs.field(default="proj_model_server", kw_only=True)
    base_path: str = attrs.field(default="/v1", kw_only=True)
    seed: int = attrs.field(default=0, kw_only=True)
    epoch_s: int = attrs.field(default=1_767_225_600, kw_only=True)

    tally: Tally = attrs.field(init=False, factory=Tally)
    accounts: dict[str, Account] = attrs.field(init=False, factory=dict)
    sessions_refused: int = attrs.field(init=False, default=0)
    _dice: random.Random = attrs.field(init=False)
    _number: int = attrs.field(init=False, default=0)
    _start_ns: int | None = attrs.field(init=False, default=None)
    _ends_ns: list[int] = attrs.field(init=False, factory=list)
    _due: list[Change] = attrs.field(init=False)
    _liars: dict[str, Liar] = attrs.field(init=False, factory=dict)
    _ramps: dict[str, RampMeter] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self._due = sorted(self.changes, key=lambda change: change.at_s)

    # ---- the two ways in -----------------------------------------------------------------

    def request(
        self,
        *,
        model: str = "gpt-4o",
        chars: int = 0,
        max_tokens: int | None = None,
        n: int = 1,
        endpoint: str = "chat/completions",
        texts: int = 1,
        tokens: int = 0,
        images: int = 0,
        others: Mapping[str, int] = _NO_OTHERS,
        mark: str | None = None,
        now_ns: int,
    ) -> Answer:
        """Decide a call that arrives now; the arguments are those of `Ask`."""
        ask = Ask(model, chars, max_tokens, n, endpoint, texts, tokens, images)
        return self.decide(ask, NOBODY if mark is None else Caller(mark), others=others, now_ns=now_ns)

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes, *, now_ns: int) -> Answer:
        """
        Decide an HTTP request that arrives now.

        Args:
            path: with the base path, without a query.
            headers: a mapping that does not mind the case of names, or spells them as OpenAI's documents do.
        """
        return front.handle(self, method, path, headers, body, now_ns=now_ns)

    def decide(
        self,
        ask: Ask,
        caller: Caller = NOBODY,
        *,
        others: Mapping[str, int] = _NO_OTHERS,
        stream: StreamOptions | None = None,
        now_ns: int,
    ) -> Answer:
        """Decide a metered call that arrives now: everything about its answer but the waiting."""
        elapsed_ns = self._arrive(now_ns)
        if self.models is not None and ask.model not in self.models:
            return self.refuse("model_not_found", ask, caller, now_ns=now_ns)
        if self.quota_after is not None and self.tally.admitted >= self.quota_after:
            return self.refuse("insufficient_quota", ask, caller, now_ns=now_ns)
        fault, factor = self._fault(elapsed_ns) if self.faults else (None, 1.0)
        if fault == "overloaded":
            return self.refuse("overloaded", ask, caller, now_ns=now_ns)
        if fault == "slow_down":
            return self.refuse("slow_down", ask, caller, now_ns=now_ns)
        if self.max_in_flight is not None and self._in_flight(now_ns) >= self.max_in_flight:
            return self.refuse("overloaded", ask, caller, now_ns=now_ns)

        account = self._account(ask.model, now_ns)
        tokens = self.charge(ask)
        if self.ramp is not None and not self._may_grow(self.ramp, account.name, tokens, now_ns):
            return self.refuse("slow_down", ask, caller, now_ns=now_ns)
        refusal = account.too_large(1, tokens, others)
        if refusal is not None:
            account.advance(now_ns=now_ns)
            if self.charge_refusals:
                account.charge_refusal(1)
        else:
            refusal = account.admit(1, tokens, others, now_ns=now_ns)
        answer = self._answer(ask, caller, account, tokens, refusal)
        if stream is not None and answer.admitted:
            answer.stream, answer.streaming_ns = stream, self.draw_streaming_ns()
        if self.ramp is not None and answer.admitted:
            self._ramps[account.name].take(self.ramp.cost(tokens), now_ns=now_ns)
        if fault is not None and answer.admitted:
            _break(answer, fault, factor)
        answer.shown = account.shown(self.headers, tokens, others, now_ns=now_ns)
        return self._finish(answer, now_ns)

    def pass_unmetered(self, ask: Ask, caller: Caller, document: dict[str, Any] | None, *, now_ns: int) -> Answer:
        """Answer a call that no quota is charged for and that shows none."""
        self._arrive(now_ns)
        answer = Answer(number=self._number, status=200, ask=ask, caller=caller, document=document)
        answer.latency_ns = self.latency.draw_ns(self._dice)
        return self._finish(answer, now_ns)

    def refuse(
        self,
        kind: ErrorKind,
        ask: Ask,
        caller: Caller = NOBODY,
        *,
        message: str | None = None,
        param: str | None = None,
        status: int | None = None,
        now_ns: int,
    ) -> Answer:
        """Answer with an error before anything is charged; such answers show no limits."""
        self._arrive(now_ns)
        answer = Answer(
            number=self._number,
            status=STATUS[kind] if status is None else status,
            ask=ask,
            caller=caller,
            kind=kind,
            message=message,
            param=param,
        )
        answer.latency_ns = self.refusal_latency.draw_ns(self._dice)
        return self._finish(answer, now_ns)

    def left(self, answer: Answer) -> None:
        """
        The client went away before *answer* came, which is therefore not sent.

        What was charged stays charged; its place among ``max_in_flight`` is free again,
        and the tally counts no success. To be told at most once of an answer.
        """
        ends_ns = answer.decided_ns + answer.latency_ns + answer.streaming_ns
        if answer.admitted and ends_ns in self._ends_ns:
            self._ends_ns.remove(ends_ns)
            heapq.heapify(self._ends_ns)
        self.tally.left(answer)
        answer.ending = Ending.LEFT

    def draw_streaming_ns(self) -> int:
        """Nanoseconds from the first to the last event of one answer."""
        return self.streaming.draw_ns(self._dice)

    # ---- changes while it runs -----------------------------------------------------------

    def set_limits(self, limits: Limits, *, now_ns: int) -> None:
        """From now on these limits hold; what is used stays used."""
        self.limits = _by_key(limits)
        for account in self.accounts.values():
            account.advance(now_ns=now_ns)
            account.set_quotas(self._quotas(account.name), now_ns=now_ns)

    def set_snapshot(self, model: str, name: str) -> None:
        """From now on answers for *model* come from *name*."""
        self.snapshots = {**self.snapshots, model: name}

    # ---- inside --------------------------------------------------------------------------

    def _arrive(self, now_ns: int) -> int:
        """Start the schedules at the first call; nanoseconds since then."""
        if self._start_ns is None:
            self._start_ns = now_ns
        elapsed_ns = now_ns - self._start_ns
        while self._due and to_ns(self._due[0].at_s) <= elapsed_ns:
            change = self._due.pop(0)
            self.set_limits(change.limits, now_ns=self._start_ns + to_ns(change.at_s))
        return elapsed_ns

    def _account(self, model: str, now_ns: int) -> Account:
        name = self.groups.get(model, model)
        account = self.accounts.get(name)
        if account is None:
            assert self._start_ns is not None
            account = self.accounts[name] = Account(
                name,
                self._quotas(name),
                enforcement=lambda unit: self.enforcement.get(unit, self.enforcement["*"]),
                dice=self._dice,
                charge_refusals=self.charge_refusals,
                choice=self.choice,
                outsiders=[each for each in self.outsiders if each.model in (None, model, name)],
                start_ns=self._start_ns,
                now_ns=now_ns,
            )
        return account

    def _quotas(self, name: str) -> Quotas:
        return self.limits.get(name) or self.limits.get("*") or Quotas()

    def _may_grow(self, ramp: Ramp, name: str, tokens: int, now_ns: int) -> bool:
        """Whether the rate of an account, this call included, grows no faster than it may."""
        meter = self._ramps.setdefault(name, RampMeter(ramp))
        if meter.allows(ramp.cost(tokens), now_ns=now_ns):
            return True
        if ramp.counts_refused:
            meter.take(ramp.cost(tokens), now_ns=now_ns)
        return False

    def _fault(self, elapsed_ns: int) -> tuple[str | None, float]:
        """What goes wrong with a call that arrives now, and how much slower it gets."""
        for faults in self.faults:
            if faults.from_s <= elapsed_ns / NS < faults.until_s:
                fault = faults.draw(self._dice)
                if fault is not None:
                    return fault, faults.slow_factor
        return None, 1.0

    def _in_flight(self, now_ns: int) -> int:
        while self._ends_ns and self._ends_ns[0] <= now_ns:
            heapq.heappop(self._ends_ns)
        return len(self._ends_ns)

    def _answer(self, ask: Ask, caller: Caller, account: Account, tokens: int, refusal: Refusal | None) -> Answer:
        """An answer of the limits alone."""
        answer = Answer(number=self._number, status=200, ask=ask, caller=caller, group=account.name)
        if refusal is None:
            answer.admitted = True
            answer.charged = tokens
            answer.latency_ns = self.latency.draw_ns(self._dice)
        else:
            answer.refusal = refusal
            answer.kind = "too_large" if refusal.wait_ns is None else "rate_limit"
            answer.status = STATUS[answer.kind]
            answer.latency_ns = self.refusal_latency.draw_ns(self._dice)
            answer.retry_headers = self.retry_headers and self.headers.kind != "silent"
            answer.text = self.refusal_text
        return answer

    def _finish(self, answer: Answer, now_ns: int) -> Answer:
        """Give the answer its names and enter it in the tally."""
        self._number += 1
        answer.number = self._number
        answer.decided_ns = now_ns
        answer.request_id = f"req_{self.seed & 0xFFFFFFFF:08x}{self._number:024x}"
        answer.organization = answer.caller.organization or self.organization
        answer.project = answer.caller.project or self.project
        assert self._start_ns is not None
        elapsed_s = (now_ns - self._start_ns) // NS
        answer.created_s = self.epoch_s + elapsed_s
        answer.model = self._snapshot(answer.ask.model, elapsed_s)
        if self.lies is not None and answer.group:
            liar = self._liars.get(answer.group)
            if liar is None:
                liar = self._liars[answer.group] = Liar(self.lies, self._dice)
            answer.say(liar.tell(answer.headers, elapsed_s=(now_ns - self._start_ns) / NS))
        if self.max_in_flight is not None and answer.admitted:
            heapq.heappush(self._ends_ns, now_ns + answer.latency_ns + answer.streaming_ns)
        self.tally.add(answer, now_ns=now_ns)
        return answer

    def _snapshot(self, model: str, elapsed_s: int) -> str:
        name = self.snapshots.get(model, model)
        if isinstance(name, str):
            return name
        return next((each for from_s, each in reversed(name) if from_s <= elapsed_s), model)

    def __repr__(self) -> str:
        if not hasattr(self, "_due"):  # a traceback may ask an unfinished one
            return "<ModelServer, unfinished>"
        accounts = "; ".join(map(repr, self.accounts.values())) or "no call yet"
        return f"<ModelServer {self.tally!r}: {accounts}>"


def _break(answer: Answer, fault: str, factor: float) -> None:
    """Let an admitted call go wrong."""
    if fault == "server_error":
        answer.kind, answer.status = "server_error", STATUS["server_error"]
    elif fault == "slow":
        answer.latency_ns = round(answer.latency_ns * factor)
    elif answer.stream is not None or fault not in _OF_STREAMS:
        answer.ending = Ending(fault)
