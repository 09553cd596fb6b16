"""What RATELIMIT_CLIENT_LOG says."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from ratelimit_client.adapters.logging import Levels, log_from_environment, log_to
from ratelimit_client.errors import ConfigurationError

LIBRARY = logging.getLogger("ratelimit_client")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Loggers belong to the process."""
    handlers = list(LIBRARY.handlers)
    loggers = [LIBRARY, *(logging.getLogger(f"ratelimit_client.{name}") for name in ("events", "bulk"))]
    levels = [logger.level for logger in loggers]
    yield
    LIBRARY.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize(
    ("text", "levels", "events"),
    [
        ("info", {"ratelimit_client": 20}, 20),
        (" DEBUG ", {"ratelimit_client": 10}, 10),
        ("warning,events=debug", {"ratelimit_client": 30, "ratelimit_client.events": 10}, 10),
        ("ratelimit_client.bulk = info ,error", {"ratelimit_client.bulk": 20, "ratelimit_client": 40}, 40),
        ("ratelimit_client=off", {"ratelimit_client": 51}, 51),
        ("bulk=debug", {"ratelimit_client.bulk": 10}, 30),
        (",", {}, 30),
    ],
)
def test_a_level_for_all_or_for_parts(text: str, levels: dict[str, int], events: int) -> None:
    """A name is one below the library's own; what is not named is as loud as warnings."""
    found = Levels.read(text)
    assert (found.by_logger, found.events) == (levels, events)
    assert found.least == min(levels.values(), default=30)


@pytest.mark.parametrize("text", ["loud", "events=", "=info", "info;debug", "events=10", "a\x1b[2J=x"])
def test_what_is_no_level_is_said_in_a_sentence(text: str) -> None:
    """Which part, in which variable, and what to write; on one line."""
    with pytest.raises(ConfigurationError, match=r"RATELIMIT_CLIENT_LOG: .* write one of debug, info, warning") as told:
        Levels.read(text)
    assert str(told.value).isprintable()


def test_a_program_without_logging_of_its_own() -> None:
    """One call, and what the library says is written; the root logger is left alone."""
    before = (list(logging.getLogger().handlers), logging.getLogger().level)
    handler = log_to(said := io.StringIO(), level="warning,bulk=info", form="json")
    for name in ("ratelimit_client", "ratelimit_client.bulk.source"):
        logging.getLogger(name).info("quiet?")
    logging.getLogger("ratelimit_client").warning("loud")
    assert [json.loads(line)["logger"] for line in said.getvalue().splitlines()] == [
        "ratelimit_client.bulk.source",
        "ratelimit_client",
    ]
    LIBRARY.removeHandler(handler)
    assert before == (list(logging.getLogger().handlers), logging.getLogger().level)


def test_as_the_environment_says_and_not_otherwise() -> None:
    """Without the variable nothing is set up."""
    assert log_from_environment({"RATELIMIT_CLIENT_LOG_FORMAT": "json"}) is None
    assert log_from_environment({"RATELIMIT_CLIENT_LOG": " "}) is None
    log_from_environment({"RATELIMIT_CLIENT_LOG": "debug"}, said := io.StringIO())
    LIBRARY.debug("heard")
    assert said.getvalue().endswith("debug ratelimit_client: heard\n")
    with pytest.raises(ConfigurationError, match="RATELIMIT_CLIENT_LOG_FORMAT: 'xml' is neither text nor json"):
        log_from_environment({"RATELIMIT_CLIENT_LOG": "debug", "RATELIMIT_CLIENT_LOG_FORMAT": "xml"})


def test_stderr_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """As loggers do."""
    log_to()
    LIBRARY.info("heard")
    assert "info ratelimit_client: heard" in capsys.readouterr().err
