"""
What can be set, from where, and what it may be.

Law of this file: a flag counts more than the environment, the environment more
than the default; whatever is wrong is said in one sentence that names the flag
or the variable and shows an example.

Each option is one row of a table. From it come the flag, the variable
(``--max-in-flight`` is ``RATELIMIT_CLIENT_MAX_IN_FLIGHT``), the check and the help.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from ..core.quota import Quota, Quotas
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from ..bulk.shards import Shard

PREFIX: Final = "RATELIMIT_CLIENT_"
_SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?", re.ASCII)
_PART: Final = re.compile(r"(\d{1,6})/(\d{1,6})", re.ASCII)
_UNITS: Final = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off", ""})


@attrs.frozen(kw_only=True)
class Option:
    """
    Args:
        flag: with its dashes.
        read: text -> value; raises ValueError with what it should look like.
        help: half a sentence.
        metavar: how the value is called; None for a switch, which has no value.
        default: what it is when nobody says.
        many: may be given more than once; in the environment separated by ";".
        environment: can be set there.
        shown: how a value is shown to people; hides what may be a key.
    """

    flag: str
    read: Callable[[str], Any]
    help: str
    metavar: str | None = None
    default: Any = None
    many: bool = False
    environment: bool = True
    shown: Callable[[str], str] = str

    @property
    def name(self) -> str:
        return self.flag.lstrip("-").replace("-", "_")

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Make the flag known; its default is None, so that it shows whether it was given."""
        if self.metavar is None:
            parser.add_argument(self.flag, dest=self.name, action="store_const", const="1", help=self.help)
        else:
            action = "append" if self.many else "store"
            parser.add_argument(self.flag, dest=self.name, metavar=self.metavar, action=action, help=self.help)

    def value(self, given: Any, environment: Mapping[str, str]) -> Any:
        """
        The value that counts.

        Raises:
            ConfigurationError: it is not what it has to be.
        """
        origin, texts = self.found(given, environment)
        if texts is None:
            return self.default
        try:
            return [self.read(text) for text in texts] if self.many else self.read(texts)
        except ValueError as error:
            raise ConfigurationError(f"{origin}: {error}") from None

    def found(self, given: Any, environment: Mapping[str, str]) -> tuple[str, Any]:
        """Where it is from (the flag, the variable or "default"), and its text or texts; None for the default."""
        if given is not None:
            return self.flag, given
        if self.environment and (text := environment.get(self.variable)):
            return self.variable, [part.strip() for part in text.split(";") if part.strip()] if self.many else text
        return "default", None


def resolve(options: Sequence[Option], given: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Any]:
    """The values of all options, by name."""
    return {option.name: option.value(getattr(given, option.name, None), environment) for option in options}


# -- kinds of values ------------------------------------------------------------------


def text(value: str) -> str:
    """Any text but none."""
    if not value.strip():
        raise ValueError("it is empty")
    return value


def switch(value: str) -> bool:
    """On or off."""
    if value.lower() in _YES:
        return True
    if value.lower() in _NO:
        return False
    raise ValueError(f"{value!r} is neither 1 nor 0")


def whole(least: int, most: float = math.inf) -> Callable[[str], int]:
    """A whole number within bounds."""

    def read(value: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,18}", value.strip(), re.ASCII) or not least <= int(value) <= most:
            bounds = f"from {least} to {most}" if most != math.inf else f"of {least} or more"
            raise ValueError(f"{value!r} is no whole number {bounds}")
        return int(value)

    return read


def seconds(value: str) -> float:
    """A span of time: seconds, or a number with s, m, h or d."""
    found = _SECONDS.fullmatch(value.strip())
    if not found:
        raise ValueError(f"{value!r} is no span of time; write seconds (90) or a unit (90s, 15m, 8h)")
    return float(found[1]) * _UNITS[found[2]]


def at_least(least_s: float) -> Callable[[str], float]:
    """A span of time of so many seconds or more, a day at most."""

    def read(value: str) -> float:
        if not least_s <= (given := seconds(value)) <= _UNITS["d"]:
            raise ValueError(f"{value!r} is not between {least_s:g} s and a day")
        return given

    return read


def share(value: str) -> float:
    """A number from 0 to 1."""
    if not re.fullmatch(r"0*(?:0?\.\d+|[01](?:\.0*)?)", value.strip(), re.ASCII):
        raise ValueError(f"{value!r} is no number from 0 to 1")
    return float(value)


def one_of(*words: str) -> Callable[[str], str]:
    """One of a few words."""

    def read(value: str) -> str:
        if value not in words:
            raise ValueError(f"{value!r} is none of {', '.join(words)}")
        return value

    return read


def pair(value: str) -> tuple[str, str]:
    """NAME=VALUE."""
    name, sign, rest = value.partition("=")
    if not name or not sign:
        raise ValueError(f"{value.partition('=')[0]!r} has no value; write NAME=VALUE")
    return name, rest


def limit(value: str) -> tuple[str, Quota]:
    """[MODEL=]QUOTA."""
    model, sign, quota = value.rpartition("=")
    if sign and not model:
        raise ValueError(f"{value!r} names no model; write MODEL=\"500 requests/min\"")
    return model or "*", Quota.parse(quota)


def quotas_by_model(limits: Sequence[tuple[str, Quota]]) -> dict[str, Quotas]:
    """What the limiter takes: quotas of each model, ``"*"`` for the rest."""
    found: dict[str, list[Quota]] = {}
    for model, quota in limits:
        found.setdefault(model, []).append(quota)
    return {model: Quotas.of(quotas) for model, quotas in found.items()}


def part(value: str) -> Shard:
    """I/N."""
    found = _PART.fullmatch(value.strip())
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"{value!r} is no shard; write I/N with I from 1 to N: 3/8")
    from ..bulk.shards import Shard  # and with it all that reads rows, which --help never does

    return Shard(int(found[1]), int(found[2]))


def address(value: str) -> str:
    """[HOST:]PORT."""
    whole(0, 65535)(value.rpartition(":")[2])
    return value.strip()


# -- how values are shown -------------------------------------------------------------

_USER_OF_URL: Final = re.compile(r"//[^/]*@")


def url_shown(value: str) -> str:
    """A URL without the user and password it should not have."""
    return _USER_OF_URL.sub("//***@", value)


def pair_shown(value: str) -> str:
    """A parameter of requests: it may be a key, except for the version of an API."""
    name, _, _ = value.partition("=")
    return value if name == "api-version" else f"{name}=***"
