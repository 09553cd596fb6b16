"""What a shape tells of a line is what a parse tells, on whatever is in an input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.bulk.fingerprints import Fingerprints, Passed, State, row_bits
from ratelimit_client.bulk.jsonl import Line, line_of
from ratelimit_client.bulk.row import Flaw, read_row
from ratelimit_client.bulk.scan import NotJSON, members
from ratelimit_client.bulk.shapes import order_of, roomy, shuffled, spelled_out, usual
from ratelimit_client.bulk.skim import Piece, pass_finished
from tests.jobs import row

BODY = b'{"model":"m","messages":[{"role":"user","content":"}, {\\"body\\": {} \\\\"}]}'

DEEP = 3000
LONG = b"9" * 5000
# fmt: off
BODIES = (
    b"{}", b'{"a":[[[[[[1]]]]]]}', b'{"custom_id":"b","body":{}}', b'{"a":}', b'{"a":NaN}', b'{"a":1e5}', b"[]", b"5",
    b'{"a":"\xff"}', b'{"a":%b}' % LONG, b'{"a":' + b"[" * 15 + b"]" * 15 + b"}", b'{"a":"\t"}', b'{"a":]}',
    b'{"a":1}}', b'{{"a":1}', b'{"a":"\\ud800"}', b'{"\xc3\xa4":"\xe2\x80\xa8"}', b'{"a":' + b"[" * DEEP,
    b'{"a":1,"a":2}', BODY,
)
VALUES = (
    b"null", b"true", b"1", b"-0", b"01", b"-", b"1.", b".5", b"1.5e400", b"1e+5", b"1e", b"9" * 300, LONG, b"-" + LONG,
    b"1." + LONG, b"NaN", b"-Infinity", b'"a"', b'"\\ud800"', b'"\\u00E4"', b'"\xc3\xa4"', b'"\xff"', b'"\xed\xa0\x80"',
    b'""', b'"\\x"', b'"\t"', b'"\x7f"', b'"\\u12"', b'"', b'"\\"', b"{}", b"[]", b"{ }", b"[ ]", b'{"a": 1}',
    b"[1 , 2]", b'{"a":{"b":[1,"]"]}}', b'{"a":1,}', b"[1,]", b"[,1]", b"[1 2]", b'{"a" 1}', b'{"custom_id": "b"}',
    b"[[[[[1]]]]]", b"[" * DEEP + b"]" * DEEP, b'{"body": {}}', b"[}", b"[NaN]", b"{1:2}", b"[%b]" % LONG, b"tru",
    b"nulll", b"'a'", b"", b'{"a": {"b": {"c": {"d": 1}}}}', b'["\xff"]', b'["\\x"]',
    b'["\t"]', b'1, "method": "GET"', b'1, "n": 2', b'1}{"n": 2',
)
KEYS = (
    b"metadata", b"n", b"id", b"error", b"", b"\xc3\xa4", b"\xff", b"\\u0062ody", b"\\u0063ustom_id", b"a\\n",
    b"custom_id", b"method", b"url", b"body", b"custom_id ", b"Body", b"bod", b"a\tb",
)
NAMES = (
    b'"a"', b'"b"', b'"\\u0061"', b'"\\ud83d\\ude00"', b'"\\ud800"', b'"\xc3\xa4"', b'"\xff"', b'""', b"5", b'["a"]',
    b'"\\/"', b'"\\"}"', b'"%b"' % (b"a" * 4097), b'"\\x"',
)
METHODS = (b'"POST"', b'"GET"', b'"\\u0050OST"', b"1", b"null", b'"post"')
URLS = (b'"/v1/chat/completions"', b'"/x"', b'"/v1/\\u0078"', b'"/v1//x"', b"5", b'""', b'"/v1/\xff"')
SPACES = (b"", b" ", b"\t ", b"\r", b"\x0b", b"\xc2\xa0", b"\0")
ENDS = (b"", b"\r", b"\r\r", b" ", b"}", b",", b"\0", b" {}", b"\t\r")
ODD_BYTES = (b"", b'"', b"{", b"}", b"[", b",", b":", b"\\", b"\xff", b"1", b"\t", b" ")
# fmt: on

Members = list[tuple[bytes, bytes]]
ORDINARY: Members = [
    (b"custom_id", b'"a"'),
    (b"method", b'"POST"'),
    (b"url", b'"/v1/chat/completions"'),
    (b"body", BODY),
]


def line_made_of(members: Members, space: bytes = b" ", odd: bytes = b"", end: bytes = b"") -> bytes:
    """A line with these members; *odd*: inside the braces."""
    pairs = [b'"' + key + b'":' + space + value for key, value in members]
    return b"{" + odd + (b"," + space).join(pairs) + odd + b"}" + end


def with_one_oddity() -> Iterator[bytes]:
    """Rows with one thing that is not ordinary, of every kind and at every place."""
    for place in range(len(ORDINARY) + 1):
        for key in KEYS:
            yield from (line_made_of([*ORDINARY[:place], (key, value), *ORDINARY[place:]]) for value in VALUES)
    for place, choices in enumerate((NAMES, METHODS, URLS, BODIES)):
        for value in choices:
            yield line_made_of([*ORDINARY[:place], (ORDINARY[place][0], value), *ORDINARY[place + 1 :]])
        yield line_made_of(ORDINARY[:place] + ORDINARY[place + 1 :])
    for space, end in product(SPACES, ENDS):
        yield from (line_made_of(ORDINARY, b" ", space, end), line_made_of(ORDINARY, space, b"", end))
    for text in (line_made_of(ORDINARY), line_made_of([*ORDINARY, (b"n", b"[1]")]), line_made_of(ORDINARY[::-1])):
        for place, byte in product(range(len(text)), ODD_BYTES):
            yield from (text[:place] + byte + text[place + 1 :], text[:place] + byte + text[place:])
        yield b"\xef\xbb\xbf" + text


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A row with some of those oddities; names and bodies are few, so that they meet."""
    members = [
        (b"custom_id", draw(st.sampled_from((b'"a"', b'"b"', b'"\\u0061"')))),
        *ORDINARY[1:3],
        (b"body", draw(st.sampled_from((BODY, b"{}", *BODIES[:4])))),
    ]
    if draw(st.booleans()):
        members = draw(st.permutations(members))
    for extra in draw(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)), max_size=1)):
        members.insert(draw(st.integers(0, len(members))), extra)
    return line_made_of(members, draw(st.sampled_from((b"", b" "))))


Guess = tuple[int, int]


def guess_of(name: bytes, hashed: bytes) -> Guess:
    mark = int.from_bytes(sha256(spelled_out(name)).digest()[:8], "big")
    return mark, row_bits("rlc_" + sha256(hashed).hexdigest())


def guesses(text: bytes) -> dict[str, Guess]:
    """What each shape says of one line; nothing where the line does not have it."""
    found: dict[str, Guess] = {}
    for shape, (parts,) in (("usual", usual(text + b"\n")), ("roomy", roomy(text + b"\n", order_of(text)))):
        name, url, body, other = parts
        assert name or other == text
        if name:
            found[shape] = guess_of(name, b'"POST"' + url + body)
    line = line_of(2, 0, text)
    if line is not None and (taken := shuffled(line.data)) is not None:
        found["shuffled"] = guess_of(*taken)
    return found


def parsed(text: bytes, number: int = 2) -> tuple[Guess, bool]:
    """What a parse says of a line, and whether it is a line with a name."""
    line = line_of(number, 0, text)
    assert line is not None
    found = read_row(line)
    return (found.mark, row_bits(found.id)), not (isinstance(found, Flaw) and found.custom_id is None)


def test_a_line_with_a_name_is_read_as_a_parse_reads_it() -> None:
    """
    Whatever is odd about a line: where it is JSON, the roomy and the shuffled shape give its very name and identity.
    Where it is not, they say nothing, unless its body is the reason.
    """
    shapes, said = 0, 0
    for text in with_one_oddity():
        if line_of(2, 0, text) is None:
            continue
        found, has_name = parsed(text)
        for shape, guess in guesses(text).items():
            shapes += 1
            if shape == "usual":
                continue
            said += 1
            if has_name:
                assert guess == found, (shape, text)
            elif b"a" * 4097 not in text:  # a name that no row has, so none is finished
                assert not is_json(body_of(text, shape)), (shape, text)
    assert said > shapes // 2 > 1000


def body_of(text: bytes, shape: str) -> bytes:
    """What a shape takes for the body."""
    if shape == "roomy":
        return roomy(text + b"\n", order_of(text))[0][2]
    line = line_of(2, 0, text)
    taken = None if line is None else shuffled(line.data)
    assert taken is not None
    return taken[1][taken[1].index(b"{") :]


def is_json(text: bytes) -> bool:
    try:
        members(text.decode())
    except (NotJSON, UnicodeDecodeError):
        return False
    return True


def test_one_odd_line_among_finished_ones_is_passed_only_if_it_is_finished() -> None:
    """
    Each odd line once after it was done before, once after an ordinary row with its name was.
    """
    (mark, bits), _ = parsed(line_made_of(ORDINARY))
    for text in with_one_oddity():
        if line_of(2, 0, text) is None:
            continue
        (odd_mark, odd_bits), _ = parsed(text)
        for is_done in (False, True):
            table = Fingerprints()
            table.record(mark, bits, State.DONE)
            if is_done:
                table.record(odd_mark, odd_bits, State.DONE)
            expected = int(table.is_finished(odd_mark, odd_bits))
            assert pass_finished(table, Piece(text + b"\n", 2, 0)).lines == expected, text


@given(st.lists(lines(), min_size=1, max_size=6), st.data())
def test_lines_are_passed_only_if_their_parse_is_finished(texts: list[bytes], data: st.DataObject) -> None:
    """
    Whichever of them were finished before, and whatever they look like: what is passed at once is what would be
    passed one by one.
    """
    table, one_by_one = Fingerprints(), Fingerprints()
    for text in data.draw(st.lists(st.sampled_from(texts) | lines(), max_size=6)):
        (mark, bits), _ = parsed(text)
        for each in (table, one_by_one):
            each.record(mark, bits, State.DONE)

    expected = 0
    for number, text in enumerate(texts, 2):
        (mark, bits), _ = parsed(text, number)
        if not one_by_one.is_finished(mark, bits):
            break
        one_by_one.visit(mark, bits)
        expected += 1
    piece = Piece(b"".join(text + b"\n" for text in texts), 2, 0)
    assert pass_finished(table, piece).lines == expected


@pytest.mark.parametrize("carried", [{}, {"metadata": {"user": "u", "tags": ["a", {"b": None}]}, "n": -1.5e3}])
@pytest.mark.parametrize("order", list(permutations(("custom_id", "method", "url", "body"))))
def test_ordinary_rows_need_no_parse(order: tuple[str, ...], carried: dict[str, object]) -> None:
    """
    In any order of members, with more members, with spaces and escapes: the roomy shape is theirs.
    """
    whole = row('a \u00e4 \U0001f600 /"', 'so "{}" \\ [')
    for separators in ((",", ":"), (", ", ": "), (" ,  ", "\t: ")):
        text = json.dumps({key: whole[key] for key in order} | carried, separators=separators).encode()
        for line in (text, text + b"\r"):
            found = guesses(line)
            assert found["roomy"] == parsed(line)[0]
            assert found["shuffled"] == parsed(line)[0]


def test_another_order_in_the_middle_is_passed_as_well() -> None:
    """
    A piece of lines of many shapes, all finished: all of it is passed, and nothing is passed twice.
    """
    texts = []
    for number, order in enumerate(permutations(("custom_id", "method", "url", "body"))):
        whole = row(f"row-{number}")
        texts.append(json.dumps({key: whole[key] for key in order} | ({"n": 1} if number % 3 else {})).encode())
    table = Fingerprints()
    for text in texts:
        (mark, bits), _ = parsed(text)
        table.record(mark, bits, State.DONE)
    data = b"".join(text + b"\n" for text in texts)
    assert pass_finished(table, Piece(data)) == Passed(len(data), len(texts), 0)
    assert pass_finished(table, Piece(data)) == Passed(0, 0, 0)


def test_lines_that_are_no_text_have_no_shape() -> None:
    """
    A byte that is not UTF-8 anywhere in a piece sends all its lines to the parse.
    """
    good = json.dumps(row("a", n=1)).encode()
    found = roomy(good + b"\n\xff\n", order_of(good))
    assert [parts[3] for parts in found] == [good, b"\xff"]
    assert read_row(Line(1, 0, good)).custom_id == "a"
