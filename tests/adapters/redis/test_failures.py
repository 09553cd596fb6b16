"""What a driver raises, in our words: what time can mend, and what only a person can."""

from __future__ import annotations

import ssl

import pytest
from redis import exceptions

from ratelimit_client.adapters.redis.failures import told
from ratelimit_client.errors import ConfigurationError, StoreUnavailable

WHERE = "redis://h:1"


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "loading its data"),
        (exceptions.ResponseError("BUSY Redis is busy running a script."), "keeps it busy"),
        (exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "out of memory"),
        (exceptions.ResponseError("OOM command not allowed"), "out of memory"),
        (exceptions.ResponseError("MASTERDOWN Link with MASTER is down"), "primary is down"),
        (exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"), "cannot write to its disk"),
        (exceptions.ClusterDownError("CLUSTERDOWN The cluster is down"), "cluster is down"),
        (exceptions.TryAgainError("TRYAGAIN Multiple keys request during rehashing"), "moving keys"),
        (exceptions.ConnectionError("Error 111 connecting to h:1."), "no connection"),
        (exceptions.TimeoutError("Timeout reading from h:1"), "no connection"),
        (OSError(113, "No route to host"), "No route to host"),
        (exceptions.ResponseError("ERR something else"), "gave no lease (ResponseError)"),
        (RuntimeError("a driver that is broken"), "gave no lease (RuntimeError)"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_time_mends(error: Exception, what: str) -> None:
    """Calls go on without it."""
    found = told(error, WHERE)
    assert isinstance(found, StoreUnavailable)
    assert what in str(found)
    assert WHERE in str(found)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (exceptions.ResponseError("WRONGPASS invalid username-password pair"), "refused the password"),
        (exceptions.AuthenticationError("Authentication required."), "wants a password"),
        (
            exceptions.NoPermissionError("this user has no permissions to run 'evalsha'"),
            "this user may not",
        ),
        (exceptions.AuthorizationError("something of a vendor's"), "refused this user"),
        (exceptions.ReadOnlyError("You can't write against a read only replica."), "takes no writes"),
        (exceptions.MovedError("5798 127.0.0.1:7002"), "node of a cluster"),
        (exceptions.ResponseError("CROSSSLOT Keys in request don't hash to the same slot"), "splits keys"),
        (exceptions.ResponseError("unknown command 'EVALSHA'"), "knows no scripts"),
        (exceptions.InvalidResponse("Protocol Error: b'HTTP/1.1 400'"), "no Redis"),
        (ssl.SSLCertVerificationError("bad"), "is not who it says"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "speaks no TLS"),
        (ssl.SSLError(1, "[SSL] x"), "TLS failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_only_a_person_mends(error: Exception, what: str) -> None:
    """It is told before the first call, with what to do."""
    found = told(error, WHERE)
    assert isinstance(found, ConfigurationError)
    assert what in str(found)
    assert WHERE in str(found)


def test_what_lies_below_is_seen() -> None:
    """A driver wraps what the system said; ours stays what it is."""
    outer = exceptions.ConnectionError("Error connecting")
    outer.__cause__ = ssl.SSLCertVerificationError("bad")
    assert isinstance(told(outer, WHERE), ConfigurationError)
    ours = StoreUnavailable("ours")
    assert told(ours, WHERE) is ours
