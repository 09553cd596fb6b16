"""A secret can be used and cannot be seen."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback

import pytest

from ratelimit_client import ConfigurationError
from ratelimit_client.runtime.secret import Fingerprint, Secret, mask

KEY = "sk-CANARY-0123456789-abcd"
SHOWN = "sk-...abcd"


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{!r:>40}".format,
        lambda secret: f"{secret}",
        lambda secret: json.dumps({"key": secret}, default=str),
        lambda secret: repr(pickle.dumps(secret)),
        lambda secret: repr(pickle.loads(pickle.dumps(secret))),
        lambda secret: repr(copy.copy(secret)),
        lambda secret: repr(copy.deepcopy({"nested": [secret]})),
        lambda secret: repr([secret]),
        lambda secret: repr(logging.LogRecord("x", 10, "", 1, "key %s", (secret,), None).getMessage()),
    ],
)
def test_whatever_shows_it_shows_the_mask(show) -> None:  # type: ignore[no-untyped-def]
    """Printed, formatted, logged, copied or serialised: the ends at most."""
    shown = show(Secret(KEY))

    assert "CANARY" not in shown
    assert SHOWN in shown


def test_reveal_is_the_only_way_out() -> None:
    """The value comes out of reveal(), without the line break of the file it was read from."""
    assert Secret(f"  {KEY}\n").reveal() == KEY


def test_a_copy_holds_nothing() -> None:
    """What left the process, or was copied, has a mask and no value, and says so."""
    for secret in (pickle.loads(pickle.dumps(Secret(KEY))), copy.copy(Secret(KEY)), copy.deepcopy(Secret(KEY))):
        with pytest.raises(ConfigurationError, match="copies hold no value"):
            secret.reveal()
        assert secret.scrub(KEY) == KEY
        assert secret != Secret(KEY)
        assert Secret(KEY) != secret
        assert secret == copy.copy(secret)


@pytest.mark.parametrize(
    "wrong", ["", "   \n", "sk-CANARY\nX: y", "sk-CANARY-\x00", "sk-CANARY-\u2028x", "sk-CANARY-ä"]
)
def test_what_no_header_may_carry_is_refused_without_being_shown(wrong: str) -> None:
    """Found when it is loaded, and neither the message nor the locals of our frames show it."""
    with pytest.raises(ConfigurationError) as caught:
        Secret(wrong)
    ours = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack[1:]
    shown = str(caught.value) + "".join(str(frame.locals) for frame in ours)
    assert "CANARY" not in shown


def test_scrubbing_replaces_the_value_in_any_text() -> None:
    """A URL or a body that echoes the key loses it."""
    assert Secret(KEY).scrub(f"https://x/?key={KEY}&a=1") == f"https://x/?key={SHOWN}&a=1"


def test_equal_secrets_are_equal_and_hash_alike() -> None:
    """Rotation asks whether a key has changed."""
    assert Secret(KEY) == Secret(KEY + "\n")
    assert hash(Secret(KEY)) == hash(Secret(KEY))
    assert Secret(KEY) != Secret(KEY + "x")
    assert Secret(KEY) != KEY


def test_it_is_not_read_piece_by_piece() -> None:
    """list(secret) and the like would show it."""
    with pytest.raises(TypeError, match="reveal"):
        list(Secret(KEY))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (KEY, SHOWN),
        ("0123456789abcdef", "...cdef"),
        ("sk-short", "..."),
        ("", "..."),
        ("gsk_0123456789abcdef", "...cdef"),
    ],
)
def test_the_mask_shows_the_ends_of_long_keys_only(value: str, shown: str) -> None:
    """Half of a short password would be too much."""
    assert mask(value) == shown


def test_a_fingerprint_tells_keys_apart_and_shows_nothing() -> None:
    """Of the same values in the same order it is the same; and nothing that prints or copies it gets hold of it."""
    one = Fingerprint.of([Secret(KEY), "a"])
    others = [Fingerprint.of(values) for values in ([Secret(KEY)], ["a", KEY], [KEY + "a"], [])]
    assert one == Fingerprint.of([KEY, "a"])
    assert len({one, *others}) == 5
    assert KEY.encode() not in one
    assert {f"{one}", repr(one), str(one), repr([one])} == {"<Fingerprint>", "[<Fingerprint>]"}
    assert pickle.loads(pickle.dumps(one)) == copy.copy(one) == b""
