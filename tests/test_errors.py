"""The tree of errors: as drawn, and fit to travel."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import pytest

from ratelimit_client import errors
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.errors import RateLimitClientError

DOCS = Path(__file__).parent.parent / "docs" / "errors.md"

BUILTIN_BASES = {
    "InvalidQuota": ValueError,
    "DeadlineUnreachable": TimeoutError,
    "DeadlineExpiredInQueue": TimeoutError,
    "DeadlineExceeded": TimeoutError,
}


def kinds() -> list[type[RateLimitClientError]]:
    """Every class of the tree, in the order of the source."""
    return [
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, RateLimitClientError)
    ]


def parents_in(drawing: str) -> dict[str, str | None]:
    """Read an indented drawing: the name of each class and of the class it stands under."""
    parents: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in drawing.splitlines():
        found = re.match(r"( *)([A-Z][A-Za-z]+)(?: |$)", line)
        if not found:
            continue
        indent, name = len(found[1]), found[2]
        while above and above[-1][0] >= indent:
            above.pop()
        parents[name] = above[-1][1] if above else None
        above.append((indent, name))
    return parents


def parents_in_code() -> dict[str, str | None]:
    """The name of each class and of the first class it derives from, None at the root."""
    return {
        kind.__name__: None if kind is RateLimitClientError else kind.__bases__[0].__name__ for kind in kinds()
    }


def laden(kind: type[RateLimitClientError]) -> RateLimitClientError:
    """An error of *kind* with a value in each of its documented fields, and in those of the classes above it."""
    fields = {name: f"<{name}>" for above in kind.__mro__ for name in vars(above).get("__annotations__", {})}
    if "signals" in fields:
        readings = {"tokens": Reading(limit=200_000.0, remaining=0.0, reset_s=12.5)}
        fields["signals"] = Signals(status=429, reason=Reason.RATE_LIMITED, readings=readings)  # type: ignore[assignment]
    return kind("needs 250 000 tokens; the bucket holds 200 000", **fields)


def drawing_in_docstring() -> str:
    doc = errors.__doc__ or ""
    return "\n".join(line for line in doc.split("Law of this file")[0].splitlines() if line.startswith("    "))


def drawing_in_docs() -> str:
    found = re.search(r"```text\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found, "docs/errors.md has no ```text block"
    return found[1]


@pytest.mark.parametrize("drawing", [drawing_in_docstring, drawing_in_docs])
def test_the_tree_is_as_it_is_drawn(drawing) -> None:
    """
    The docstring of errors.py and docs/errors.md show every class, each under the class it derives from.
    """
    assert parents_in(drawing()) == parents_in_code()


def test_a_wrong_drawing_is_noticed() -> None:
    """
    The reader of drawings sees an indent, a missing class and a class too many.
    """
    right = "RateLimitClientError\n  NotAdmitted      nothing was sent\n    Closed\n  TransportError"

    assert parents_in(right) == {
        "RateLimitClientError": None,
        "NotAdmitted": "RateLimitClientError",
        "Closed": "NotAdmitted",
        "TransportError": "RateLimitClientError",
    }
    assert parents_in(right.replace("    Closed", "  Closed"))["Closed"] == "RateLimitClientError"


def test_the_documented_fields_are_the_fields() -> None:
    """
    The table of docs/errors.md names, for each class that has fields of its own, exactly those.
    """
    documented: dict[str, set[str]] = {}
    table = DOCS.read_text().split("## Fields")[1]
    for classes, fields in re.findall(r"^\| (`[A-Z].*?) \| (`[a-z].*?) \|$", table, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", classes):
            documented[name] = set(re.findall(r"`(\w+)`", fields))
    annotated = {kind.__name__: set(vars(kind).get("__annotations__", {})) for kind in kinds()}
    inherited = annotated["StreamError"]

    assert documented.pop("StreamTruncated") == inherited
    assert documented == {name: fields for name, fields in annotated.items() if fields}


@pytest.mark.parametrize("kind", kinds())
def test_a_builtin_base_stands_only_where_it_is_promised(kind: type[RateLimitClientError]) -> None:
    """
    Four classes can also be caught as ValueError or TimeoutError; none derives from a type of another library.
    """
    above = [base for base in kind.__mro__ if not issubclass(base, RateLimitClientError)]
    promised = next((BUILTIN_BASES[c.__name__] for c in kind.__mro__ if c.__name__ in BUILTIN_BASES), Exception)

    assert issubclass(kind, promised)
    assert {base.__module__ for base in above} == {"builtins"}
    assert isinstance(kind("x"), TimeoutError) == (promised is TimeoutError)
    assert isinstance(kind("x"), ValueError) == (promised is ValueError)


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize(
    "travel",
    [copy.copy, copy.deepcopy, *(lambda e, p=p: pickle.loads(pickle.dumps(e, p)) for p in range(2, 6))],
)
def test_an_error_travels_whole(kind: type[RateLimitClientError], travel) -> None:
    """
    Copied or sent to another process, an error keeps its type, sentence and fields.
    """
    sent = laden(kind)

    arrived = travel(sent)

    assert type(arrived) is kind
    assert str(arrived) == str(sent)
    assert arrived.args == sent.args
    assert vars(arrived) == vars(sent)


@pytest.mark.parametrize("kind", kinds())
def test_a_field_left_out_reads_as_its_default_or_not_at_all(kind: type[RateLimitClientError]) -> None:
    """
    An error made with a sentence alone has no stray attributes of its own.
    """
    error = kind("what happened")

    assert str(error) == "what happened"
    assert vars(error) == {}
