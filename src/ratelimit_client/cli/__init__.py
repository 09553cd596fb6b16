"""
The program ``ratelimit-client``.

Law of this file: a user's mistake is answered with a sentence, never with a
traceback; the exit code says what happened (``bulk.stops``).
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final, TextIO

from ..errors import RateLimitClientError
from .voice import Voice

# Above the codes of contract and shells: a bug of ours (sysexits.h, EX_SOFTWARE).
_BUG: Final = 70


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the program.

    Args:
        argv: the words after the program's name; those of the process when None.

    Returns: the exit code.
    """
    from .args import read_arguments, voice_for

    voice = Voice()

    def act() -> int:
        request = read_arguments(sys.argv[1:] if argv is None else argv)
        voice.as_json = voice_for(request).as_json
        code: int = _loaded(request.command).main(request, voice)
        return code

    return guarded(act, voice, debug=bool(os.environ.get("RATELIMIT_CLIENT_DEBUG")))


def _loaded(command: str) -> Any:
    """The module of a command. What is loaded stays, so nobody looks for garbage among it meanwhile."""
    looks = gc.isenabled()
    gc.disable()
    try:
        return import_module(f"{__name__}.commands.{command}")
    finally:
        if looks:
            gc.enable()


def guarded(act: Callable[[], int], voice: Voice, *, debug: bool) -> int:
    """
    The exit code of *act*, whatever happens in it; what went wrong is said by *voice*.

    Args:
        debug: show where a bug happened.
    """
    try:
        code = _told(act, voice, debug=debug)
        return _leave_stdout(voice, code)
    finally:
        _leave_stderr()


def _told(act: Callable[[], int], voice: Voice, *, debug: bool) -> int:
    try:
        return act()
    except SystemExit as leaving:  # --help and --version
        return leaving.code if isinstance(leaving.code, int) else 0
    except BrokenPipeError:
        _forget(sys.stdout)
        return 141
    except KeyboardInterrupt:
        voice.fail("interrupted before the first call")
        return 130
    except RateLimitClientError as error:
        voice.fail(str(error))
        return 2
    except Exception as error:  # noqa: BLE001  # the last line of defence: a bug is a sentence, too
        if _lacks_room(error):
            voice.fail(f"{error}. Make room, then run the same command")
            return 74
        if debug:
            voice.write("".join(traceback.format_exception(error)))
        voice.fail(
            f"this is a bug: {type(error).__name__}; what was written is safe, the same command goes on. "
            "RATELIMIT_CLIENT_DEBUG=1 shows where it happened"
        )
        return _BUG


def _lacks_room(error: Exception) -> bool:
    """Is it the disk that cannot take what we write? Then the same command works once it can."""
    from ..bulk.journal import NO_ROOM

    return isinstance(error, OSError) and error.errno in NO_ROOM


def _leave_stdout(voice: Voice, code: int) -> int:
    """Write what stdout still holds, such as the help; what to exit with instead of *code* when that cannot be."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _forget(sys.stdout)
        return code or 141
    except OSError as error:
        _forget(sys.stdout)
        if not code:
            voice.fail(f"stdout could not be written: {error.strerror}")
        return code or 74
    except ValueError:  # it is closed
        pass
    return code


def _leave_stderr() -> None:
    """Nobody has to listen to us: what stderr still holds is written, or thrown away when it cannot be."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        _forget(sys.stderr)


def _forget(stream: TextIO) -> None:
    """Python flushes its streams as it leaves; one that fails would be complained about, and make the exit code 120."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        pass
