"""The live block on a terminal."""

from __future__ import annotations

import io
import os
import re
import signal

import attrs
import pytest

from ratelimit_client.cli.view import View
from ratelimit_client.cli.voice import Voice

pytest.importorskip("rich")

from ratelimit_client.cli.live import Live, lines_high

VIEW = View(
    total=60,
    done=1,
    failed=0,
    in_flight=1,
    queued=48,
    rate=1.0,
    refused=0,
    limit="150 requests/minute",
    share=0.5,
    eta_s=59.0,
    seconds=1.0,
    state="at the limit's pace",
)


class Terminal(io.StringIO):
    """Keeps what stands on a terminal high and wide enough: knows line feeds, and the codes that Live uses."""

    def isatty(self) -> bool:
        return True

    @property
    def screen(self) -> list[str]:
        lines, at = [""], 0
        for text, up, wipe in re.findall(r"([^\x1b]+)|\x1b\[(\d*)A|(\x1b\[2K)|\x1b\[[0-9;?]*[a-zA-Z]", self.getvalue()):
            if up:
                at -= int(up)
                assert at >= 0, "it wiped what others had written"
            elif wipe:
                lines[at] = ""
            for piece in re.findall(r"[^\r\n]+|\r|\n", text):
                if piece == "\n":
                    at += 1
                    lines += [""] * (at + 1 - len(lines))
                elif piece != "\r":
                    lines[at] += piece
        return lines


@pytest.fixture
def terminal() -> Terminal:
    """One on which a command was typed."""
    terminal = Terminal()
    terminal.write("$ run\n")
    return terminal


def live_on(terminal: Terminal, voice: Voice | None = None) -> Live:
    return Live(every_s=1.0, voice=voice or Voice(), no_color=False, file=terminal)


def labels(terminal: Terminal) -> list[str]:
    return [line.split("  ")[0] for line in terminal.screen]


BLOCK = ["rows", "time", "limit", "calls", "now"]


def test_a_frame_takes_the_place_of_the_one_before(terminal: Terminal) -> None:
    """
    And at the end nothing is left of it.
    """
    live = live_on(terminal)
    for done in (1, 2, 3):
        live.show(attrs.evolve(VIEW, done=done))

    assert labels(terminal) == ["$ run", *BLOCK, ""]
    assert " 3 of 60" in terminal.screen[1]
    live.close(VIEW)
    assert "".join(terminal.screen) == "$ run"


def test_a_block_that_grows_and_shrinks_leaves_nothing_behind(terminal: Terminal) -> None:
    """
    A second model has a line of its own.
    """
    live = live_on(terminal)
    for models in (1, 2, 1):
        live.show(attrs.evolve(VIEW, models=models, model="gpt-4o"))

    assert [label for label in labels(terminal) if label] == ["$ run", *BLOCK]


def test_messages_go_above_the_block(terminal: Terminal) -> None:
    """
    In their order, each once.
    """
    voice = Voice()
    live = live_on(terminal, voice)
    voice.say("one")
    live.show(VIEW)
    voice.say("two [/]")
    live.show(VIEW)

    assert labels(terminal) == ["$ run", "ratelimit-client: one", "ratelimit-client: two [/]", *BLOCK, ""]


def test_a_program_that_goes_on_leaves_alone_what_others_wrote(terminal: Terminal) -> None:
    """
    After Ctrl-Z and fg the shell's words stand below the block.
    """
    before = signal.getsignal(signal.SIGCONT)
    live = live_on(terminal)
    live.show(VIEW)
    terminal.write("[1]+ Stopped\n$ fg\n")
    os.kill(os.getpid(), signal.SIGCONT)
    live.show(VIEW)
    live.show(VIEW)
    live.close(VIEW)

    assert [label for label in labels(terminal) if label] == ["$ run", *BLOCK, "[1]+ Stopped", "$ fg"]
    assert signal.getsignal(signal.SIGCONT) == before


def test_a_terminal_that_is_gone_ends_the_display_only() -> None:
    """
    The run goes on.
    """

    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    voice = Voice()
    live = live_on(Gone(), voice)
    live.show(VIEW)
    voice.say("x")
    live.show(VIEW)
    live.close(VIEW)


@pytest.mark.parametrize(("width", "high"), [(200, 3), (80, 5), (40, 8)])
def test_lines_that_a_narrower_terminal_breaks_are_counted(width: int, high: int) -> None:
    """
    So that all of them are wiped; an empty line is one, too.
    """
    assert lines_high([[("x" * 100, ""), ("y" * 50, "")], [("深" * 45, "")], []], width) == high
