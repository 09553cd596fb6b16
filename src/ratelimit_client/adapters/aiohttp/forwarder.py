"""
Calls of others to one API, under its limits.

Law of this file: a call goes to the one origin that was named here, with one credential:
our own, or whatever its sender put into it, and never a mixture of both.

It is to a proxy what ``Client`` is to a program: it queues, sends and tries again; what
comes is not a ``Reply`` but the answer as it stands on the wire.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from yarl import URL

from ...core.cost import Cost
from ...core.estimate import Features
from ...errors import ConfigurationError, ResponseError
from ...runtime.in_time import in_time
from ...runtime.limiter import Limiter
from .credentials import Credentials, KeySource
from .door import Door
from .exchange import Call
from .forwarding import Forwarded, Forwarding
from .headers import Shy, check, standing
from .names import Names
from .sending import Sender
from .tally import Tally, outcome_of
from .timeouts import Timeout
from .url import Base, Params, quiet
from .whose import Whose
from .wire import Wire

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that are about one connection (RFC 9110, 7.6.1)."""

CREDENTIALS = frozenset(
    {
        "authorization",
        "api-key",
        "x-api-key",
        "x-api-token",
        "x-auth-token",
        "x-goog-api-key",
        "x-goog-user-project",
        "ocp-apim-subscription-key",
        "openai-organization",
        "openai-project",
    }
)
"""Headers that say who asks; with a key of our own none of a caller's goes along."""

MOST_BUDGETS = 8192
"""Of all callers and models; those that come later share one, for a budget costs memory and a new key nothing."""

OTHER = "other"

# Parameters that say who asks, as those headers do.
_CREDENTIAL = re.compile(r"key|api[-_]?key|access[-_]?token|subscription[-_]key", re.IGNORECASE)

# Written anew for the way on; cookies know no ports, so those a browser has for this machine are somebody else's.
_OURS = HOP_BY_HOP | {"host", "content-length", "expect", "cookie"}
_SPELT = {"x-client-request-id": "X-Client-Request-Id", "idempotency-key": "Idempotency-Key"}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_QUERY = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/?\[\]{}|^`\"<>-]*")
_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|\s|$))", re.IGNORECASE)
_DEFAULT_TIMEOUT = Timeout()


class Forwarder:
    """
    Sends what others ask on to one server.

    Args:
        upstream: the base URL of the API.
        limiter: what the calls go through.
        api_key: our own, for every call; None: the caller's, as it is.
        organization, project: sent along with our own key.
        timeout: for connecting and for silence.
        default_query: parameters of every request.
        allow_insecure: let plain http leave this machine.

    Raises:
        ConfigurationError: a base URL, or a key, that cannot be.
    """

    def __init__(
        self,
        upstream: str,
        *,
        limiter: Limiter,
        api_key: KeySource | None = None,
        organization: str | None = None,
        project: str | None = None,
        timeout: Timeout = _DEFAULT_TIMEOUT,
        default_query: Params | None = None,
        allow_insecure: bool = False,
    ) -> None:
        try:
            self._credentials = Credentials(api_key)
        finally:
            del api_key  # a traceback that shows locals shows this one
        upstream = quiet(upstream)
        self._base = Base(upstream, default_query=default_query, allow_insecure=allow_insecure)
        self._own: dict[str, str] = {}
        if self._credentials.given:
            whole = standing(organization, project, None, "")
            self._own = {name: value for name, value in whole.items() if name.lower() in CREDENTIALS}
        self._wire = Wire(self._base, self._credentials, timeout, None)
        self._whose = Whose(limiter, self._base, self._credentials, self._own)
        self._names = Names()
        self._door = Door()
        self._budgets: set[int] = set()
        self.limiter = limiter
        """What the calls go through."""
        self.tally = Tally()
        """What became of the calls so far; the metrics are made of it."""
        limiter.reports_written()
        self._sender = Sender(limiter, self._whose, self._wire, self._credentials, self._door, self.tally)

    def __repr__(self) -> str:
        base = getattr(self, "_base", "unfinished")  # a traceback may ask an unfinished one
        return f"<Forwarder to {base}>"

    @property
    def upstream(self) -> str:
        """The base URL of the API."""
        return str(self._base)

    @property
    def lends(self) -> bool:
        """Do calls go with a key of our own?"""
        return self._credentials.given

    # -- a request that is ready ----------------------------------------------------

    def call(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        raw: bytes | None,
        *,
        key: str,
        cost: Cost | None,
        features: Features | None,
        priority: int,
        tenant: str | None,
        deadline_s: float | None,
    ) -> Call:
        """
        What ``forward`` takes.

        Args:
            target: path and query, as they were asked for.
            headers: of the request; those about its connection are left out.
            others: as of ``Call``.

        Raises:
            ConfigurationError: it leads elsewhere, or holds what may not be sent. Nothing of it is a secret.
        """
        name = self._names.fresh()
        complete, own = self._headers(headers)
        if "?" in target and not self._credentials.given:
            own.update(_credited(target))
        if method not in _SAFE and "Idempotency-Key" not in complete:
            complete["Idempotency-Key"] = name
        if not self._has_budget(key, own):
            key, own = OTHER, {}
        return Call(
            method=method,
            url=self._url(target),
            raw=raw or None,
            headers=complete,
            name=name,
            key=key,
            own=own or None,
            cost=cost,
            features=features,
            priority=priority,
            tenant=tenant,
            deadline_s=deadline_s,
        )

    def _has_budget(self, key: str, own: dict[str, str]) -> bool:
        mark = hash((key, *own.values()))  # of which nothing can be read
        if mark not in self._budgets:
            if len(self._budgets) >= MOST_BUDGETS:
                return False
            self._budgets.add(mark)
        return True

    def _headers(self, given: Iterable[tuple[str, str]]) -> tuple[dict[str, str], dict[str, str]]:
        """What goes along, and what of it tells whose call it is."""
        complete: dict[str, str] = dict(self._own)
        own: dict[str, str] = {}
        spelt: dict[str, str] = {}
        lends = self._credentials.given
        coded = False
        for name, value in given:
            lowered = name.lower()
            if lowered in _OURS or (lends and lowered in CREDENTIALS):
                continue
            check(name, value)
            if (first := spelt.get(lowered)) is not None:  # one field on several lines (RFC 9110, 5.3)
                if lowered in CREDENTIALS:
                    raise ConfigurationError(f"the header {name} is there twice; nothing was sent")
                complete[first] = Shy(f"{complete[first]}, {value}")
                continue
            if lends and lowered == "accept-encoding":
                value = (
                    "gzip" if _GZIP.search(value) else "identity"
                )  # what else it is in cannot be searched for our key
            name = spelt[lowered] = _SPELT.get(lowered, name)
            complete[name] = shown = Shy(value)
            if lowered in CREDENTIALS:
                own[name] = shown
            elif lowered == "accept-encoding":
                coded = True
        if not coded:
            complete["Accept-Encoding"] = "identity"  # who asks for nothing must get nothing packed
        return complete, own

    def _url(self, target: str) -> URL:
        path, _, query = target.partition("?")
        url = self._base.url(path)
        if not query:
            return url
        if not _QUERY.fullmatch(query):
            raise ConfigurationError("the query holds a character that cannot be sent; nothing was sent")
        if self._credentials.given:
            query = _uncredited(query)
            if not query:
                return url
        if defaults := self._base.default_query:
            named = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
            pairs = [(name, value) for name, value in defaults if name not in named]
            bare = URL(str(url.with_query(None)), encoded=True)
            query += "".join(f"&{part}" for part in [bare.with_query(pairs).raw_query_string] if part)
            url = bare
        return URL(f"{url}?{query}", encoded=True)

    # -- sending ----------------------------------------------------------------------

    async def forward(self, call: Call) -> Forwarded:
        """
        The answer, from its head on; whoever takes it closes it.

        It waits its turn, and is tried again as the policy says. Cancelled in the queue it
        leaves no trace; cancelled in flight its connection is closed.

        Raises:
            what ``Client.request`` does, but a ``ResponseError`` only where the server said no to other calls.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        made: list[Forwarding] = []

        def begin(*given: Any) -> Forwarding:
            made.append(Forwarding(*given))
            return made[0]

        def over(outcome: str) -> None:
            self._door.leave()
            self.tally.add(call.key, outcome, loop.time() - began)
            self.tally.used(call.key, forwarded.bystander.usage)

        try:
            self._door.enter()
        except BaseException as error:
            self.tally.add(call.key, outcome_of(error), 0.0)
            raise
        try:
            try:
                forwarded = await self._sender.run(call, begin)
            except ResponseError as error:
                answer = made[0].answer_of(error) if made else None
                if answer is None:
                    raise
                forwarded = answer
                let_go(error)
        except BaseException as error:
            if made:
                made[0].drop()
            self._door.leave()
            self.tally.add(call.key, outcome_of(error), loop.time() - began)
            raise
        forwarded.until(over)
        return forwarded

    # -- life ---------------------------------------------------------------------------

    @property
    def is_shut(self) -> bool:
        """Is nobody let in any more?"""
        return self._door.is_shut

    async def drain(self, timeout_s: float | None = None) -> bool:
        """
        Let no further call in, and wait for those inside: queued, in flight, or on their way to whoever asked.

        Returns:
            True when all have ended, False after *timeout_s* seconds.
        """
        self.shut()
        return await in_time(self._door.empty(), timeout_s)

    def shut(self) -> None:
        """Let no further call in."""
        self._door.shut("draining")

    async def close(self) -> None:
        """Fail what is queued with ``Closed``, close the connections, give back what is leased. Idempotent."""
        self._door.shut("closed")
        closing = self.limiter.close()
        self._credentials.stop()
        await self._wire.close()
        await closing


def let_go(error: BaseException) -> None:
    """
    Cut *error* off from the frames it came through, once it was told.

    They hold the call, and the call leads back to the error: a circle, with a body of megabytes in it, which would
    stay until somebody looks for circles.
    """
    seen: BaseException | None = error
    while seen is not None:
        seen.__traceback__ = None
        seen = seen.__cause__ or seen.__context__


def _credited(target: str) -> dict[str, str]:
    """The parameters that say who asks, by a name that no header has."""
    pairs = [part.partition("=") for part in target.partition("?")[2].split("&")]
    return {f"?{name}": Shy(value) for name, _, value in pairs if _CREDENTIAL.fullmatch(unquote_plus(name))}


def _uncredited(query: str) -> str:
    """*query* without the parameters that say who asks; what is left stands as it was."""
    parts = [(unquote_plus(part.partition("=")[0]), part) for part in query.split("&")]
    return "&".join([part for name, part in parts if not _CREDENTIAL.fullmatch(name)])
