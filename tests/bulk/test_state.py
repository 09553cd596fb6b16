"""The file of --state: limits of the last run, believed for a day."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratelimit_client.bulk.state import State, load, save
from ratelimit_client.core.quota import Quota
from ratelimit_client.core.statistics import BucketStatistics, KeyStatistics, LimiterStatistics, Mode
from ratelimit_client.errors import ConfigurationError

SERVER = "http://127.0.0.1:1/v1"


def seen(source: str, limit: int = 500, unit: str = "requests") -> LimiterStatistics:
    """Statistics of one model with one bucket."""
    bucket = BucketStatistics(unit, 60.0, limit, 0, 0.0, None, source, 0.0, None, 0.0, "none")
    return LimiterStatistics("bulk", {"m": KeyStatistics(0, 0.0, 0, 1, {unit: bucket}, 0, 0, None, Mode.STEADY)})


def test_limits_are_believed_for_a_day_and_of_their_server(tmp_path: Path) -> None:
    """
    What was only expected grows old; what was shown is new; other servers' are kept.
    """
    path = str(tmp_path / "state")
    first = State().after(SERVER, seen("header"), now_s=1000.0)
    save(path, first)
    assert load(path, now_s=1000.0 + 86_399).of(SERVER) == {"m": (Quota("requests", 500),)}
    assert load(path, now_s=1000.0 + 86_400) == State()
    assert load(path, now_s=0.0).limits == first.limits
    assert first.of("http://elsewhere/v1") == {}

    later = first.after(SERVER, seen("prior"), now_s=2000.0)
    assert [one.seen_s for one in later.limits] == [1000.0]
    later = later.after(SERVER, seen("header", 700), now_s=3000.0).after("http://b", seen("header"), now_s=4000.0)
    assert [(one.server, one.limit, one.seen_s) for one in later.limits] == [
        ("http://b", 500, 4000.0),
        (SERVER, 700, 3000.0),
    ]
    assert later.after(SERVER, seen("config"), now_s=5000.0) == later


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": 2, "limits": []}',
        '{"version": 1, "limits": [{}]}',
        '{"version": 1, "limits": [{"server": "", "model": "", "unit": "t", "limit": 0, "window_s": 1, "seen_s": 1}]}',
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    """
    With its name.
    """
    (tmp_path / "state").write_text(text)

    with pytest.raises(ConfigurationError, match="state holds no limits written by this program"):
        load(str(tmp_path / "state"), now_s=0.0)
