"""Whose budget it is: what is sent, what answers name, and who goes where."""

from __future__ import annotations

import copy
import pickle

import attrs

from ratelimit_client.core.scopes import Caller, Scope, ScopedKey, Scopes, beside, plain, present

HERE, THERE = "https://api.example", "https://other.example"


@attrs.define(eq=False)
class Story:
    """Scopes, and a clock that goes on with every answer."""

    scopes: Scopes = attrs.field(factory=Scopes)
    now_ns: int = 0

    def enter(
        self, credential: str = "", organization: str | None = None, project: str | None = None, origin: str = HERE
    ) -> Caller:
        return self.scopes.enter(origin, organization, project, credential.encode())

    def hear(
        self, caller: Caller, organization: str, project: str | None = None, *, sent_ns: int | None = None
    ) -> tuple[int, int] | None:
        """The numbers of two scopes that are one from now on, if there are such."""
        self.now_ns += 10
        sent_ns = self.now_ns - 5 if sent_ns is None else sent_ns
        found = self.scopes.hear(caller, organization, project, sent_ns=sent_ns, now_ns=self.now_ns)
        return None if found is None else (found[0].number, found[1].number)


def numbers(*callers: Caller) -> list[int]:
    return [caller.scope.number for caller in callers]


def test_what_is_sent_tells_scopes_apart() -> None:
    """Origin, organization and project; the credential only while there is no organization."""
    story = Story()
    same = [story.enter("a"), story.enter("a")]
    credential, origin = story.enter("b"), story.enter("a", origin=THERE)
    organization = [story.enter("a", "org-1"), story.enter("b", "org-1")]
    project = story.enter("a", "org-1", "proj_1"), story.enter("a", None, "proj_1")

    assert numbers(*same, credential, origin, *organization, *project) == [1, 1, 2, 3, 4, 4, 5, 6]
    assert story.scopes.count == 6


def test_the_first_scope_calls_keys_what_they_are_called() -> None:
    """In any other the number of the scope follows, and nothing else of whose it is."""
    story = Story()
    first, second = story.enter("a"), story.enter("b", "org-secret")
    name = second.key("gpt-4o")

    assert type(first.key("gpt-4o")) is str
    assert (first.key("gpt-4o"), name) == ("gpt-4o", "gpt-4o @2")
    assert {name: 1}["gpt-4o @2"] == 1
    assert [plain(each) for each in ("gpt-4o", name)] == ["gpt-4o"] * 2
    assert (beside("gpt-4o", "o3"), beside(name, "o3")) == ("o3", "o3 @2")
    assert (present("gpt-4o"), present(name)) == ("gpt-4o", "gpt-4o @2")
    assert f"{name}" == "gpt-4o @2"
    assert repr(name) == "'gpt-4o @2'"


def test_a_name_that_leaves_the_process_is_text() -> None:
    """In a pickle, a copy and everything that holds one."""
    name = ScopedKey("gpt-4o", Scope(2, HERE))

    for copied in (pickle.loads(pickle.dumps(name)), copy.copy(name), copy.deepcopy([name])[0]):
        assert type(copied) is str
        assert copied == "gpt-4o @2"


def test_two_credentials_of_one_organization_are_one_scope_once_both_are_named() -> None:
    """The second naming tells; the first scope stays, and whoever was in the other is in it, now and later."""
    story = Story()
    one, two, three = story.enter("a"), story.enter("b"), story.enter("b")
    name = two.key("m")
    assert story.hear(one, "acme") is None
    assert story.hear(two, "acme") == (1, 2)

    assert numbers(one, two, three, story.enter("b")) == [1, 1, 1, 1]
    assert (two.key("m"), present(name)) == ("m", "m")
    assert story.hear(three, "acme") is None


def test_the_earlier_scope_stays_though_the_later_was_named_first() -> None:
    """Calls that name no scope are in the first one: it never goes away."""
    story = Story()
    one, two = story.enter("a"), story.enter("b")
    assert story.hear(two, "acme") is None
    assert story.hear(one, "acme") == (1, 2)
    assert one.scope.agrees("acme", None)
    assert one.scope.named


def test_three_scopes_become_one_by_and_by() -> None:
    """A name of the last leads through the second to the first."""
    story = Story()
    one, two, three = story.enter("a"), story.enter("b"), story.enter("c")
    name = three.key("m")
    story.hear(two, "acme")
    assert story.hear(three, "acme") == (2, 3)
    assert present(name) == "m @2"
    assert story.hear(one, "acme") == (1, 2)
    assert present(name) == "m"
    assert numbers(one, two, three) == [1, 1, 1]


def test_different_origins_are_never_one() -> None:
    """Whatever they name."""
    story = Story()
    here, there = story.enter("a"), story.enter("a", origin=THERE)

    assert [story.hear(caller, "acme", "proj_1") for caller in (here, there)] == [None, None]
    assert numbers(here, there) == [1, 2]


def test_different_projects_of_an_organization_are_two_scopes() -> None:
    """As sent, where answers name none; as named, where they do, also for two keys of which nothing was sent."""
    story = Story()
    callers = [story.enter("a", None, "p"), story.enter("b", None, "q"), story.enter("c"), story.enter("d")]
    for caller in callers[:2]:
        assert story.hear(caller, "acme") is None
    for caller, project in zip(callers[2:], "xy", strict=True):
        assert story.hear(caller, "acme", project) is None

    assert numbers(*callers) == [1, 2, 3, 4]


def test_an_answer_that_names_no_project_says_nothing_of_it() -> None:
    """Refusals leave it out; and what comes later makes what is known more exact."""
    story = Story()
    one, two = story.enter("a"), story.enter("b")
    story.hear(one, "acme")
    story.hear(one, "acme", "proj_1")
    assert story.hear(one, "acme") is None
    assert story.hear(two, "acme") is None
    assert numbers(one, two) == [1, 2]
    assert story.hear(two, "acme", "proj_1") == (1, 2)


def test_the_name_of_what_was_sent_takes_its_place() -> None:
    """An id was sent and a name comes back: that is the same thing, and no other organization."""
    story = Story()
    sends, silent = story.enter("a", "org-1", "proj_id"), story.enter("b")
    assert story.hear(sends, "acme", "default") is None
    assert story.hear(silent, "acme", "default") == (1, 2)
    assert numbers(sends, silent, story.enter("c", "org-1", "proj_id")) == [1, 1, 1]


def test_a_caller_whose_answers_name_another_organization_goes_there() -> None:
    """Its key was rotated across organizations; who shared the old scope stays, and who is in the new one is met."""
    story = Story()
    rotates, stays, there = story.enter("a"), story.enter("a"), story.enter("b")
    for caller, organization in ((rotates, "acme"), (there, "beta")):
        story.hear(caller, organization)
    assert story.hear(rotates, "beta") is None
    assert numbers(rotates, stays, there) == [2, 1, 2]
    story.hear(rotates, "gamma", "proj_1")
    story.hear(stays, "delta")
    assert numbers(rotates, stays) == [3, 4]
    assert story.hear(rotates, "gamma", "proj_2") is None
    assert numbers(rotates) == [5]


def test_answers_to_calls_sent_before_are_no_news() -> None:
    """The last answers for the old key come after the first for the new one."""
    story = Story()
    caller = story.enter("a")
    story.hear(caller, "acme")
    story.hear(caller, "beta")
    heard_ns = story.now_ns
    for sent_ns in (0, heard_ns):
        story.hear(caller, "acme", sent_ns=sent_ns)

    assert numbers(caller) == [2]


def test_one_that_is_named_by_turns_stays() -> None:
    """A gateway with several accounts: nobody knows which one serves next."""
    story = Story()
    caller = story.enter("a")
    for organization in "acacac":
        story.hear(caller, organization)

    assert numbers(caller) == [2]
    assert story.scopes.count == 2


def test_a_server_that_makes_up_names_fills_no_memory() -> None:
    """A caller goes elsewhere eight times in its life."""
    story = Story()
    caller = story.enter("a")
    for number in range(100):
        story.hear(caller, f"org-{number}")

    assert story.scopes.count == 9


def test_nothing_shows_whose_a_scope_is() -> None:
    """Not the organization, not the project, not the fingerprint of the key."""
    story = Story()
    caller = story.enter("fingerprint", None, "proj_secret")
    story.hear(caller, "org-secret")

    for shown in (story.scopes, caller, caller.scope, caller.key("m")):
        assert "secret" not in repr(shown)
        assert "fingerprint" not in repr(shown)


def test_a_scope_that_turned_out_to_be_another_calls_keys_what_that_one_does() -> None:
    """Also for a caller that asked for nothing else in between."""
    story = Story()
    one, other = story.enter("a"), story.enter("b")
    assert other.key("gpt-4o") == "gpt-4o @2"
    story.hear(one, "org-1")
    story.hear(other, "org-1")
    assert other.key("gpt-4o") == "gpt-4o"
