"""``doctor``: key, URL, one probe, the limits found, the clock."""

from __future__ import annotations

from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest

from ratelimit_client.cli import main
from ratelimit_client.cli.commands.doctor import Findings
from tests.jobs import KEY, serving


def doctor(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capfd.readouterr()
    code = main(["doctor", *arguments])
    return code, "".join(capfd.readouterr())


def test_a_server_that_is_well(capfd: pytest.CaptureFixture[str]) -> None:
    """
    The probe costs nothing: it asks for the models; the key is masked.
    """
    with serving(models=["gpt-4o", "gpt-4o-mini"]) as server:
        code, said = doctor(capfd)
        assert server.tally.admitted == 0
    assert code == 0
    assert "all is well" in said
    assert "probe     200 in" in said
    assert "2 listed" in said
    assert "--model NAME probes" in said
    assert KEY not in said


def test_a_model_shows_the_limits(capfd: pytest.CaptureFixture[str]) -> None:
    """
    As its answer tells them, after one call.
    """
    with serving("300 requests/min") as server:
        code, said = doctor(capfd, "--model", "gpt-4o-mini")
    assert code == 0
    assert server.tally.calls == 1
    assert "300 requests" in said
    assert "299 left" in said


@pytest.mark.parametrize(
    ("server", "arguments", "says"),
    [
        ({"api_keys": ["sk-other"]}, (), "did not accept|401"),
        ({"models": ["gpt-4o"]}, ("--model", "no-such-model"), "404"),
        ({"quota_after": 0}, ("--model", "gpt-4o"), "429"),
        ({}, ("--base-url", "http://127.0.0.1:1/v1"), "NOT WELL"),
        ({}, ("--base-url", "http://example.com/v1"), "set-up"),
    ],
)
def test_what_is_not_well_is_told(
    capfd: pytest.CaptureFixture[str], server: dict[str, Any], arguments: tuple[str, ...], says: str
) -> None:
    """
    1, and what the server or the network said; tried once.
    """
    with serving(**server) as served:
        code, said = doctor(capfd, *arguments)
    assert code == 1
    assert "NOT WELL" in said
    assert "something is not well" in said
    assert any(word in said for word in says.split("|"))
    assert served.tally.calls <= 1
    assert KEY not in said


def test_a_missing_key_is_told(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where one is needed; nothing is sent then.
    """
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    code, said = doctor(capfd)

    assert code == 1
    assert "set OPENAI_API_KEY" in said
    assert doctor(capfd, "--base-url", "http://127.0.0.1:1/v1", "--dialect", "klingon")[0] == 2


@pytest.mark.parametrize(
    ("date_s", "well", "says"),
    [
        (1000, True, "agrees"),
        (997, True, "agrees"),
        (900, False, "100 s ahead of the server"),
        (1100, False, "100 s behind the server"),
        (None, True, "not checked"),
    ],
)
def test_the_clocks_are_compared(date_s: int | None, well: bool, says: str) -> None:
    """
    With the server's at the middle of the call.
    """
    headers = {} if date_s is None else {"Date": formatdate(date_s, usegmt=True)}
    reply: Any = SimpleNamespace(
        status=200, request_id=None, data=None, organization=None, rate_limits={}, headers=headers
    )
    findings = Findings(lambda: 1001.0)

    findings.answered(reply, 1.0, None)

    assert findings.well is well
    assert says in str(findings.table)
