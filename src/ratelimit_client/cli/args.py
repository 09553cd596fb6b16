"""
The command line: commands, flags and their help.

Law of this file: what is not there yet is not listed. Each command brings a table
of options and a function; a slip of the user's ends with 2 and one sentence.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import attrs

from .. import __version__
from ..errors import ConfigurationError
from .options import PREFIX, resolve
from .tables import COMMANDS, Command
from .voice import PROGRAM, Voice

_OUTPUT: Final = f"{PREFIX}OUTPUT"


@attrs.frozen
class Request:
    """
    What the user asked for.

    Args:
        command: its name.
        options: values by name.
        argv: what was typed, for the command that resumes.
    """

    command: str
    options: Mapping[str, Any]
    argv: Sequence[str]


class _Slip(Exception):
    """The command line cannot be read."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        raise _Slip(f"{message} (see {self.prog} --help)")


def read_arguments(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Request:
    """
    What *argv* asks for; ``--help`` and ``--version`` print and raise SystemExit.

    Raises:
        ConfigurationError: it cannot be read, or a value is not what it has to be.
    """
    environment = os.environ if environment is None else environment
    try:
        given = _parser(environment).parse_args(list(argv))
    except _Slip as slip:
        raise ConfigurationError(str(slip)) from None
    command = COMMANDS[given.command]
    values = resolve(command.options, given, environment)
    if command.input is not None:
        values["input"] = given.input
    if command.output is not None:
        values["out_path"] = given.out_path or environment.get(_OUTPUT)
    return Request(given.command, values, list(argv))


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Runs files of API calls as fast as the rate limits allow.",
        epilog=f"{PROGRAM} COMMAND --help tells more.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    for name, command in COMMANDS.items():
        _add(commands, name, command, needs_output=not environment.get(_OUTPUT))
    return parser


def _add(commands: Any, name: str, command: Command, *, needs_output: bool) -> None:
    sentence = command.help[0].upper() + command.help[1:] + "."
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=command.help, description=sentence, epilog=command.epilog, allow_abbrev=False
    )
    for option in command.options:
        option.add_to(parser)
    if command.input is not None:
        metavar, text = command.input
        parser.add_argument("input", metavar=metavar.strip("[]"), help=text, nargs="?" if "[" in metavar else None)
    if command.output is not None:
        parser.add_argument(
            "-o", "--output", dest="out_path", metavar="OUT", required=needs_output, help=command.output
        )


def voice_for(request: Request) -> Voice:
    """How messages are to be said."""
    return Voice(as_json=request.options.get("log_format") == "json")
