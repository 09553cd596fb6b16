"""
What redis-py raises, told in this library's words.

Law of this file: no exception of redis-py leaves the adapter, not even on ``__cause__`` or
``__context__``: its frames hold the password. What time can mend is ``StoreUnavailable``;
what only a person can mend is ``ConfigurationError``.
"""

from __future__ import annotations

import ssl

from ...errors import ConfigurationError, RateLimitClientError, StoreUnavailable

_SET_UP = (
    ("wrongpass", "it refused the password", "check user and password in the URL"),
    ("invalid username-password", "it refused the password", "check user and password in the URL"),
    ("invalid password", "it refused the password", "check user and password in the URL"),
    ("noauth", "it wants a password", "put it into the URL: redis://:PASSWORD@host"),
    ("already authenticated", "it wants a password", "put it into the URL: redis://:PASSWORD@host"),
    ("authentication required", "it wants a password", "put it into the URL: redis://:PASSWORD@host"),
    ("without any password configured", "it has no password and was given one", "leave it out of the URL"),
    (
        "noperm",
        "this user may not do what a shared budget needs",
        "allow it +evalsha +eval +script|load +time +hgetall +hset +hdel +pexpire +ping on ~ratelimit_client:*",
    ),
    ("no permissions", "this user may not do what a shared budget needs", "see the ACL in docs/shared-budget.md"),
    ("can't access at least one of the keys", "this user may not use the keys", "allow ~ratelimit_client:*"),
    ("unknown command", "it knows no scripts", "use a Redis or Valkey with EVALSHA"),
    ("readonly", "it is a replica and takes no writes", "name the primary, or a sentinel that knows it"),
    ("read only replica", "it is a replica and takes no writes", "name the primary, or a sentinel that knows it"),
    ("moved", "it is a node of a cluster", "begin the URL with redis+cluster:// or rediss+cluster://"),
    ("crossslot", "it is a proxy that splits keys", "use one that keeps a {hash tag} together"),
    ("invalid database", "it has no database of this number", "leave the number out of the URL"),
    ("db index is out of range", "it has no database of this number", "leave the number out of the URL"),
)
_PASSING = (
    ("loading", "it is loading its data"),
    ("busy", "a script of somebody keeps it busy"),
    ("oom", "it is out of memory"),
    ("command not allowed when used memory", "it is out of memory"),
    ("masterdown", "its primary is down"),
    ("clusterdown", "the cluster is down"),
    ("tryagain", "the cluster is moving keys"),
    ("misconf", "it cannot write to its disk and takes no writes"),
)


def told(error: Exception, where: str) -> RateLimitClientError:
    """The error to raise in the place of one of redis-py."""
    if isinstance(error, RateLimitClientError):
        return error
    if (failure := _of_tls(error)) is not None:
        return ConfigurationError(f"the store {where} is not who it says: {failure}; nothing was sent to it")
    kind = type(error).__name__
    said = f"{kind} {error}".lower()
    for word, what, do in _SET_UP:
        if word in said:
            return ConfigurationError(f"the store {where} cannot be used: {what}; {do}")
    if kind in ("NoPermissionError", "AuthenticationError", "AuthorizationError"):
        return ConfigurationError(f"the store {where} cannot be used: it refused this user; check the URL and its ACL")
    for word, what in _PASSING:
        if word in said:
            return StoreUnavailable(f"the store {where} gave no lease: {what}")
    if kind in ("InvalidResponse", "ProtocolError") or "protocol error" in said:
        return ConfigurationError(f"what listens at {where} is no Redis: it answers in another language")
    if kind in ("ConnectionError", "TimeoutError", "MaxConnectionsError", "MasterNotFoundError", "OSError"):
        return StoreUnavailable(f"no connection to the store {where} ({_reason(error)})")
    return StoreUnavailable(f"the store {where} gave no lease ({kind})")


def _of_tls(error: BaseException) -> str | None:
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return None
        if isinstance(seen, ssl.SSLCertVerificationError):
            return getattr(seen, "verify_message", "") or "its certificate is not valid"
        if isinstance(seen, ssl.SSLError):
            return "it speaks no TLS, or another one" if "WRONG_VERSION" in str(seen) else "TLS failed"
        seen = seen.__cause__ or seen.__context__
    return None


def _reason(error: BaseException) -> str:
    """The system's word for it, which names no more than the place."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            break
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__
