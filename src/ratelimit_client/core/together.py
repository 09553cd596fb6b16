"""
Keys of which the caller says that they count together.

Law of this file: a group is one budget in each scope. What is typed for the name of a group
holds for all its keys together, and what a refusal says of groups changes nothing for them:
the caller's word is stronger. Queues, in-flight windows and estimates stay each key's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from ..errors import ConfigurationError
from .groups import join
from .scopes import beside, plain

if TYPE_CHECKING:
    from .keystate import KeyState
    from .scheduler import Scheduler


@attrs.frozen
class Group:
    """
    Args:
        name: under which its quotas are typed; a key of this name belongs to it.
        keys: all that do.
    """

    name: str
    keys: tuple[str, ...]


def groups_of(typed: Mapping[str, Iterable[str]]) -> dict[str, Group]:
    """
    The group of each key that is in one.

    Args:
        typed: keys by the name of their group.

    Raises:
        ConfigurationError: a key is in two, or the keys are one text.
    """
    found: dict[str, Group] = {}
    for name, keys in typed.items():
        if isinstance(keys, str):
            raise ConfigurationError(f"the keys of the group {name!r} are several: a list such as [{keys!r}]")
        group = Group(name, tuple(dict.fromkeys((name, *keys))))
        for key in group.keys:
            if key in found:
                raise ConfigurationError(f"{key!r} cannot count in two groups, {found[key].name!r} and {name!r}")
            found[key] = group
    return found


def quotas_name(together: Mapping[str, Group], name: str) -> str:
    """Under what the quotas of the key of this name are typed."""
    key = plain(name)
    group = together.get(key)
    return key if group is None else group.name


def check_quotas(together: Mapping[str, Group], keys: Iterable[str]) -> None:
    """
    Raises:
        ConfigurationError: quotas are typed for a key that counts in a group.
    """
    for key in keys:
        if (name := quotas_name(together, key)) != key:
            raise ConfigurationError(f"{key!r} counts in the group {name!r}: type the quotas for {name!r}")


def join_at_birth(scheduler: Scheduler, state: KeyState) -> None:
    """A new key that counts with others begins in their budget."""
    for other in siblings(scheduler, state):
        state.budget = other.budget
        members = (other, *other.kin, state)
        for member in members:
            member.kin = tuple(each for each in members if each is not member)
        return


def rejoin(scheduler: Scheduler, state: KeyState, *, now_ns: int) -> None:
    """A key that came from another scope counts with those that are here."""
    for other in siblings(scheduler, state):
        if other.budget is not state.budget:
            join(scheduler, other.budget, state.budget, now_ns)


def siblings(scheduler: Scheduler, state: KeyState) -> Iterator[KeyState]:
    """The keys there are already that it counts with, as the caller says."""
    group = scheduler.together.get(plain(state.name))
    for key in () if group is None else group.keys:
        other = scheduler.keys.get(beside(state.name, key))
        if other is not None and other is not state:
            yield other
