"""
Where a request may go, and how a path becomes a URL.

Law of this file: a client talks to one origin. Nothing a caller, a file or a
server says afterwards can change scheme, host or port; what was checked is what
is sent, character for character, because nothing is decoded or tidied up in
between.

Theory. Joining URLs the usual way lets ``//evil.example/x`` change the host and
turns ``/v1/%2e%2e/admin`` into ``/admin``. So a path is accepted by what it may
contain, is appended as text, and the result is compared with the base once more
right before it is sent (``Base.owns``).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Mapping

from yarl import URL

from ...errors import ConfigurationError
from .headers import Shy

OPENAI = "https://api.openai.com/v1"

Scalar = str | int | float | bool
Params = Mapping[str, Scalar] | Iterable[tuple[str, Scalar]]

# What RFC 3986 allows in a path, without the query, the fragment and the backslash.
_PATH = re.compile(r"/?[A-Za-z0-9._~!$&'()*+,;=:@%-][A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_PERCENT = re.compile(r"%(?:([0-9A-Fa-f]{2})|)")
# A name, in any script, or an address; then perhaps a port.
_PLACE = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_ENDPOINT = re.compile(r"/v1/[a-z0-9_/-]+")
_REMEMBERED = 256


class Base:
    """
    The base URL of a client.

    Args:
        text: as the user gave it: scheme, host, perhaps a port and a path.
        default_query: parameters of every request, such as Azure's ``api-version``.
        allow_insecure: let plain http leave this machine.

    Raises:
        ConfigurationError: it is no URL to send a key to, and why.
    """

    def __init__(self, text: str, *, default_query: Params | None = None, allow_insecure: bool = False) -> None:
        self._prefix = "unfinished"  # a traceback may ask for the repr of one that could not be made
        url = _parsed(text)
        _refuse_plain_http(url, allow_insecure)
        self.origin = url.origin()
        self.has_path = url.raw_path != "/"
        self._prefix = str(self.origin) + (url.raw_path.rstrip("/") if self.has_path else "")
        self._default_query = _pairs(default_query)
        self._known: dict[str, URL] = {}
        self._key = (url.scheme, url.raw_host, url.port)

    def __repr__(self) -> str:
        return f"<Base {self._prefix}>"

    def __str__(self) -> str:
        return self._prefix

    @property
    def is_openai(self) -> bool:
        """Is this OpenAI's own address, where nothing works without a key?"""
        return self.origin.host == "api.openai.com"

    @property
    def default_query(self) -> list[tuple[str, str]]:
        """The parameters of every request, which may be a key."""
        return self._default_query

    def url(self, path: str, params: Params | None = None) -> URL:
        """
        The URL of *path* under this base.

        A path that begins with ``/v1/`` names an endpoint: its ``/v1`` is dropped
        when the base has a path of its own (``https://host/api/v1``). Any other
        path is appended.

        Raises:
            ConfigurationError: the path is none, or leads elsewhere.
        """
        url = self._known.get(path)
        if url is None:
            url = self._build(path)
            if len(self._known) < _REMEMBERED:
                self._known[path] = url

        return url if params is None else _with_query(url, _pairs(params))

    def owns(self, url: URL) -> bool:
        """Does *url* have the scheme, host and port of this base? Asked right before sending."""
        return (url.scheme, url.raw_host, url.port) == self._key

    def _build(self, path: str) -> URL:
        _refuse_odd_path(path)
        tail = path if path.startswith("/") else "/" + path
        if self.has_path and tail.startswith("/v1/"):
            tail = tail[len("/v1") :]

        url = URL(self._prefix + tail, encoded=True)
        if not self.owns(url):
            raise ConfigurationError(f"the path {_shown(path)} leads away from {self.origin}; nothing was sent")
        return _with_query(url, self._default_query)


def quiet(text: str) -> str:
    """A base URL as it is; one with a password in it, which will be refused, in a form that no traceback shows."""
    return Shy(text) if "@" in str(text) else text


def endpoint(url: object) -> str:
    """
    The ``url`` field of a batch row, which must name an endpoint and nothing else.

    Raises:
        ConfigurationError: it could lead anywhere else; it was not sent.
    """
    if isinstance(url, str) and _ENDPOINT.fullmatch(url) and "//" not in url:
        return url
    message = f"the url {_shown(url)} names no endpoint: /v1/ and lower-case letters, digits, '_', '-' and '/'"
    raise ConfigurationError(f"{message}; nothing was sent")


def is_loopback(host: str) -> bool:
    """Does *host* name this machine, by a name or number that can name nothing else?"""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # An IPv4 address dressed up as IPv6 is loopback to some Pythons only; to us it is none.
    return address.is_loopback and getattr(address, "ipv4_mapped", None) is None


def _parsed(text: str) -> URL:
    url = None
    try:
        url = URL(text.strip())
        problem = _problem(url) or _oddity(text)
    except (ValueError, TypeError, AttributeError):
        # The text is not shown: what is no URL may be a key pasted into the wrong place.
        problem = "it is no URL"
    if url is None or problem:
        url = None  # a traceback that shows locals shows this one
        raise ConfigurationError(f"the base URL cannot be used: {problem}; it looks like {OPENAI}")
    return url


def _problem(url: URL) -> str:
    if url.scheme not in ("http", "https") or not url.raw_host:
        return "it needs http:// or https:// and a host"
    if url.raw_user is not None or url.raw_password is not None:
        return "it holds a user name or password; give the key as api_key instead"
    if url.raw_query_string or url.raw_fragment:
        return "it has a query or fragment; give parameters as default_query instead"
    if not 0 < (url.port or 0) < 65536:
        return "its port is none"
    return ""


def _oddity(text: str) -> str:
    """What yarl would tidy away without a word, so that something else is sent than was read."""
    text = text.strip()
    if " " in text or not text.isprintable():
        return "it holds a space, or a character that does not print"
    rest = text.partition("://")[2]
    odd = [what for what in ("%", "//", "\\", "/.") if what in rest]
    if odd:
        return f"its path holds {odd[0]!r}"
    place = _PLACE.fullmatch(rest.partition("/")[0])
    if place is None:
        return "its host or its port is none"
    if unicodedata.normalize("NFKC", place[1]) != place[1]:
        return "its host holds a letter that stands for another one"
    return ""


def _refuse_plain_http(url: URL, allow_insecure: bool) -> None:
    if url.scheme == "https" or allow_insecure or is_loopback(url.host or ""):
        return
    message = (
        f"{url.origin()} is plain http, which would show the key and the prompts to everybody on the way: "
        "use https, or pass allow_insecure=True (--allow-insecure) if the network is yours"
    )
    raise ConfigurationError(message)


def _refuse_odd_path(path: object) -> None:
    if not isinstance(path, str) or not _PATH.fullmatch(path) or "//" in path:
        why = "it may hold letters, digits and ordinary punctuation; parameters go into params="
    elif any(part.strip(".") == "" and part for part in path.split("/")):
        why = "'.' and '..' are not followed"
    elif any(match[1] is None or int(match[1], 16) in _NOT_ESCAPED for match in _PERCENT.finditer(path)):
        why = "an escaped '.', '/', '\\', '%' or control character is not sent"
    else:
        return
    raise ConfigurationError(f"{_shown(path)} is no path of an endpoint: {why}; nothing was sent")


_NOT_ESCAPED = frozenset({*range(0x20), 0x7F, *b"./\\%?#"})


def _pairs(params: Params | None) -> list[tuple[str, str]]:
    """Names and values as text, in order."""
    if params is None:
        return []
    pairs = []
    for name, value in params.items() if isinstance(params, Mapping) else params:
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif not isinstance(value, str | int | float):
            raise ConfigurationError(f"the parameter {_shown(name)} is a {type(value).__name__}; give text or a number")
        pairs.append((str(name), str(value)))
    return pairs


def _with_query(url: URL, pairs: list[tuple[str, str]]) -> URL:
    """*url* with *pairs*; a name given now replaces the same name given as a default."""
    if not pairs:
        return url
    names = {name for name, _ in pairs}
    kept = [(name, value) for name, value in url.query.items() if name not in names]
    return url.with_query([*kept, *pairs])


def _shown(text: object) -> str:
    """Text from elsewhere, escaped and short."""
    return repr(text)[:128]
