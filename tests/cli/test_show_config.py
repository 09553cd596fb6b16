"""``--show-config``: what every option is, and where that is from."""

from __future__ import annotations

import pytest

from ratelimit_client.cli import main
from ratelimit_client.cli.tables import RUN

KEY = "sk-proj-CANARY-0123456789abcd"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing set but what a test sets."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


def shown(capfd: pytest.CaptureFixture[str], *arguments: str) -> dict[str, tuple[str, str]]:
    """Value and origin by name."""
    assert main(list(arguments)) == 0
    out, err = capfd.readouterr()
    assert err == ""
    found = {}
    for line in out.splitlines():
        name, _, rest = line.partition(" ")
        value, _, origin = rest.strip().rpartition("  ")
        found[name] = (value.strip(), origin)
    return found


def test_flag_environment_and_default(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Each value with its source; no files have to be named, since nothing is done.
    """
    monkeypatch.setenv("RATELIMIT_CLIENT_MAX_ROWS", "7")
    monkeypatch.setenv("RATELIMIT_CLIENT_GRACE", "9")
    monkeypatch.setenv("RATELIMIT_CLIENT_LIMIT", "5/s; gpt-4o=9/s")

    found = shown(capfd, "run", "--grace", "3m", "--show-config")

    assert found["--grace"] == ("3m", "--grace")
    assert found["--max-rows"] == ("7", "RATELIMIT_CLIENT_MAX_ROWS")
    assert found["--limit"] == ("5/s; gpt-4o=9/s", "RATELIMIT_CLIENT_LIMIT")
    assert found["--max-attempts"] == ("5", "default")
    assert found["--max-outage"] == ("3600", "default")
    assert found["--deadline"] == ("-", "default")
    assert found["--overwrite"] == ("0", "default")
    assert found["--base-url"] == ("https://api.openai.com/v1", "default")
    assert found["OPENAI_API_KEY"] == ("-", "default")
    assert {option.flag for option in RUN} <= set(found)


def test_keys_are_masked(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The key, what may be one in a query, a password in a URL.
    """
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"https://user:{KEY}@host/v1")

    found = shown(capfd, "--show-config")
    assert found["OPENAI_API_KEY"] == ("sk-...abcd", "environment")
    assert found["--base-url"] == ("https://***@host/v1", "OPENAI_BASE_URL")
    assert KEY not in str(found)

    found = shown(capfd, "run", "in", "-o", "out", "--query", f"key={KEY}", "--query=api-version=1", "--show-config")
    assert found["--query"] == ("key=***; api-version=1", "--query")

    assert KEY not in str(shown(capfd, "simulate", "--api-key", KEY, "--show-config"))


def test_a_value_that_cannot_be_is_refused(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    As a run would refuse it.
    """
    monkeypatch.setenv("RATELIMIT_CLIENT_MAX_ROWS", "many")

    assert main(["--show-config"]) == 2
    assert "RATELIMIT_CLIENT_MAX_ROWS: 'many' is no whole number" in capfd.readouterr().err
    assert main(["walk", "--show-config"]) == 2
    assert main([]) == 2


def test_every_flag_can_be_set_in_the_environment_but_the_one_that_destroys(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A variable that begins anew would do so in the command that resumes.
    """
    assert [option.flag for option in RUN if not option.environment] == ["--overwrite"]

    monkeypatch.setenv("RATELIMIT_CLIENT_OUTPUT", "-")
    assert main(["run", "/nowhere/at/all"]) == 2
    assert "/nowhere/at/all cannot be read" in capfd.readouterr().err
