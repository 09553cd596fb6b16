"""Where a store is, and what is shown of it."""

from __future__ import annotations

import copy
import pickle

import pytest

from ratelimit_client.adapters.redis.address import Address
from ratelimit_client.errors import ConfigurationError
from tests import canary


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "redis://localhost"),
        (f"redis://:{canary.KEY}@h:6380/2?x=1", "redis://h:6380/2"),
        (f"rediss://user:{canary.KEY}@[::1]:6380/2?ssl_ca_certs=/f", "rediss://[::1]:6380/2"),
        (f"redis://u:{canary.KEY}%40@h", "redis://h"),
        (f"redis://u:{canary.KEY}@at@h", "redis://h"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock"),
        (f"redis+sentinel://:{canary.KEY}@a,b:26380/one/1", "redis+sentinel://a,b:26380/one/1"),
        (f"rediss+cluster://:{canary.KEY}@a:1", "rediss+cluster://a:1"),
    ],
)
def test_what_is_shown_holds_no_password(url: str, shown: str) -> None:
    """Nor does a copy or a pickle of it."""
    address = Address(url)
    assert (repr(address), address.shown) == (shown, shown)
    canary.clean(repr([copy.copy(address)]), "a copy of an address")
    canary.clean(pickle.dumps(address), "a pickle of an address")


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "h:6379",
        "redis://",
        f"redis://:{canary.KEY}@",
        f"redis://:{canary.KEY}@h:x",
        "unix://",
        "redis+sentinel://h",
        "redis+cluster://",
        f"rediss://:{canary.KEY}@h?ssl_cert_reqs=none",
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(url: str) -> None:
    """It may hold a password."""
    with pytest.raises(ConfigurationError) as caught:
        Address(url)
    canary.clean(str(caught.value), "a complaint")
    canary.clean(repr(caught.value.__context__), "what lies below it")
