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
from .options import PREFIX, Option, resolve
from .tables import COMMANDS, Command
from .voice import PROGRAM, Voice

_OUTPUT: Final = f"{PREFIX}OUTPUT"
_SHOW_CONFIG: Final = "--show-config"


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


@attrs.frozen
class Setting:
    """
    What an option is.

    Args:
        texts: as typed; None: it is the default.
        origin: the flag or the variable it is from, or "default".
    """

    option: Option
    texts: Sequence[str] | None
    origin: str


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
    shows = _SHOW_CONFIG in argv
    try:
        given = _parser(environment, shows).parse_args(list(argv))
    except _Slip as slip:
        raise ConfigurationError(str(slip)) from None
    if shows:
        of = given.command or "run"
        return Request("show_config", {"of": of, "settings": _settings(COMMANDS[of], given, environment)}, list(argv))
    command = COMMANDS[given.command]
    values = resolve(command.options, given, environment)
    if command.input is not None:
        values["input"] = given.input
        if given.input == "":
            raise ConfigurationError("the name of the input is empty")
    if command.output is not None:
        values["out_path"] = environment.get(_OUTPUT) if given.out_path is None else given.out_path
        if not values["out_path"]:
            raise ConfigurationError("the name of the output is empty")
    return Request(given.command, values, list(argv))


def _settings(command: Command, given: argparse.Namespace, environment: Mapping[str, str]) -> list[Setting]:
    """What every option of a command is now, and why; a value that cannot be is refused as ever."""
    found = []
    for option in command.options:
        text = getattr(given, option.name, None)
        option.value(text, environment)
        origin, texts = option.found(text, environment)
        found.append(Setting(option, [texts] if isinstance(texts, str) else texts, origin))
    return found


def _parser(environment: Mapping[str, str], shows: bool) -> argparse.ArgumentParser:
    """With *shows* nothing has to be given, since nothing is done."""
    parser = _Parser(
        prog=PROGRAM,
        description="Runs files of API calls as fast as the rate limits allow.",
        epilog=f"{PROGRAM} COMMAND --help tells more.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    _add_show_config(parser, "run")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=not shows, parser_class=_Parser)
    for name, command in COMMANDS.items():
        _add(commands, name, command, shows=shows, needs_output=not environment.get(_OUTPUT))
    return parser


def _add_show_config(parser: argparse.ArgumentParser, of: str) -> None:
    words = f"show what the options of {of} are, where each is from, and do nothing; keys are masked"
    parser.add_argument(_SHOW_CONFIG, action="store_true", default=argparse.SUPPRESS, help=words)


def _add(commands: Any, name: str, command: Command, *, shows: bool, needs_output: bool) -> None:
    sentence = command.help[0].upper() + command.help[1:] + "."
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=command.help, description=sentence, epilog=command.epilog, allow_abbrev=False
    )
    for option in command.options:
        option.add_to(parser)
    if command.options:
        _add_show_config(parser, name)
    if command.input is not None:
        metavar, text = command.input
        count = "?" if shows or "[" in metavar else None
        parser.add_argument("input", metavar=metavar.strip("[]"), help=text, nargs=count)
    if command.output is not None:
        required = needs_output and not shows
        parser.add_argument("-o", "--output", dest="out_path", metavar="OUT", required=required, help=command.output)


def voice_for(request: Request) -> Voice:
    """How messages are to be said."""
    return Voice(as_json=request.options.get("log_format") == "json")
