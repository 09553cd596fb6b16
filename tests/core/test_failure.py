from __future__ import annotations

import pytest

from ratelimit_client.core.failure import FailureKind, TransportFailure


@pytest.mark.parametrize(
    ("kind", "may_pass"),
    [
        ("connection", True),
        ("timeout", True),
        ("protocol", True),
        ("incomplete", True),
        ("tls", False),
        ("other", False),
    ],
)
def test_which_failures_may_pass(kind: str, may_pass: bool) -> None:
    """Faults of the way do; a server that cannot prove who it is, and errors we do not know, do not."""
    assert TransportFailure(kind=FailureKind(kind)).may_pass is may_pass


@pytest.mark.parametrize(
    ("error", "cancels"), [(None, False), (OSError(), False), (KeyboardInterrupt(), True), (BaseException(), True)]
)
def test_an_order_to_stop_is_no_error(error: BaseException | None, cancels: bool) -> None:
    """What is no Exception tells the program to end and is passed on."""
    assert TransportFailure(kind=FailureKind.OTHER, error=error).cancels is cancels
