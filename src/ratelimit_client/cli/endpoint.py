"""
Where the page of a process is, and asking it.

Law of this file: what cannot be shown is said in a sentence: what happened, where, and what to
do. Nothing is asked but GET, nobody is sent elsewhere, and an answer has a bound in size and
time; a password in the address is shown to nobody.
"""

from __future__ import annotations

import json
import os
import ssl
from typing import Any, Final, Self
from urllib.parse import SplitResult, urlsplit

import aiohttp
import attrs

from ..bulk.words import shown
from ..errors import ConfigurationError
from .options import url_shown
from .seen import NotOurs, Seen, read

STATE: Final = "state.json"
_METRICS, _EVENTS = "metrics", "events"
_MOST_BYTES: Final = 16 << 20
_SLOWEST_S: Final = 5.0
_LOOPBACK: Final = "127.0.0.1"


class NoAnswer(Exception):
    """Nothing came. Another time something may."""


class NotAPage(Exception):
    """Something else is there."""


@attrs.frozen
class Place:
    """
    Where to look.

    Args:
        urls: of the state, the first that is there counts.
        shown: for people.
    """

    urls: tuple[str, ...]
    shown: str


def place(typed: str) -> Place:
    """
    What a person means by *typed*: a URL with or without scheme, path and slash, or a port of this machine.

    Raises:
        ConfigurationError: it is no address.
    """
    text = typed.strip()
    if text.isascii() and text.isdigit():
        text = f"{_LOOPBACK}:{text}"
    parts = _split(text if "://" in text else f"http://{text}", typed)
    names = [name for name in parts.path.split("/") if name]
    last = names[-1] if names else ""
    paths = [[*names, STATE]]
    if last in (STATE, _EVENTS, _METRICS):
        paths = [[*names[:-1], STATE], *([[*names, STATE]] if last == _METRICS else [])]
    base = f"{parts.scheme}://{parts.netloc}"
    where = "/".join(paths[0][:-1])
    scheme = "" if parts.scheme == "http" else "https://"
    short = url_shown(f"//{parts.netloc}").removeprefix("//")
    return Place(tuple("/".join([base, *path]) for path in paths), shown(f"{scheme}{short}{where and '/' + where}"))


def _split(text: str, typed: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right or not text.isprintable() or " " in text:
        message = (
            f"{shown(url_shown(typed))!r} is no address of a page: give what the program said when it began, such as "
            "http://127.0.0.1:9464, or the port alone"
        )
        raise ConfigurationError(message)
    return parts


@attrs.define(eq=False)
class Endpoint:
    """One page, asked again and again over one connection; an answer may take *slowest_s* seconds."""

    place: Place
    slowest_s: float = _SLOWEST_S
    _session: aiohttp.ClientSession | None = None
    _found: str | None = None

    async def __aenter__(self) -> Self:
        # No proxy and no cookies: it is a page of a machine of one's own.
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self.slowest_s), cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None  # it was entered
        await self._session.close()

    async def look(self) -> Seen:
        """
        What the process says of itself now.

        Raises:
            NoAnswer: nobody answers, or not in five seconds.
            NotAPage: whoever answers is none of ours.
        """
        where = self.place.shown
        try:
            return await self._look()
        except TimeoutError:
            raise NoAnswer(f"{where} did not answer within {self.slowest_s:g} s") from None
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise NotAPage(_about_tls(where, error)) from None
        except aiohttp.ClientConnectorDNSError:
            raise NoAnswer(f"the host of {where} is not known; is it spelt right?") from None
        except aiohttp.ClientConnectorError as error:
            number = error.os_error.errno
            why = os.strerror(number) if number and number > 0 else type(error.os_error).__name__
            raise NoAnswer(f"nobody listens at {where} ({shown(why)}); does the program run, with --metrics?") from None
        except aiohttp.InvalidURL:
            raise NotAPage(f"{where} is no address that can be asked") from None
        except aiohttp.ClientResponseError:
            raise NotAPage(f"{where} does not speak HTTP as this program does; is it the port of --metrics?") from None
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(f"the connection to {where} broke ({type(error).__name__})") from None

    async def _look(self) -> Seen:
        assert self._session is not None, "it is asked inside async with"
        trouble: NotAPage | None = None
        for url in (self._found,) if self._found else self.place.urls:
            async with self._session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as answer:
                body = await answer.content.read(_MOST_BYTES) if answer.status == 200 else b""
                while answer.status == 200 and (more := await answer.content.read(_MOST_BYTES)):
                    body += more
                    if len(body) > _MOST_BYTES:
                        raise NotAPage(f"{self.place.shown} sends more than a state has; it was not read to its end")
                try:
                    seen = _read(body, answer, self.place.shown)
                except NotAPage as error:
                    trouble = trouble or error
                    continue
            self._found = url
            return seen
        assert trouble is not None  # there is one address at least
        raise trouble


def _read(body: bytes, answer: aiohttp.ClientResponse, where: str) -> Seen:
    what = _WHAT.get(answer.status) or (f"sends elsewhere ({answer.status})" if 300 <= answer.status < 400 else None)
    if answer.status != 200:
        raise NotAPage(f"{where} {what or f'answers {answer.status}'}; {_ADVICE}")
    try:
        return read(json.loads(body, parse_constant=_no_number))
    except (NotOurs, ValueError, RecursionError):
        kind = "a web page" if body.lstrip()[:1] == b"<" else "something else"
        raise NotAPage(f"{where} shows {kind}, and no state of a limiter; {_ADVICE}") from None


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _about_tls(where: str, error: Exception) -> str:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    why = getattr(cause, "verify_message", None) or str(cause)
    if "WRONG_VERSION_NUMBER" in why or "record layer" in why:
        return f"{where} speaks no TLS: try http:// instead of https://"
    return (
        f"the certificate of {where} is not trusted ({shown(why)[:200]}); SSL_CERT_FILE may name the one that signed it"
    )


_ADVICE: Final = "give the address that a program of this version said with --metrics, such as http://127.0.0.1:9464"
_WHAT: Final = {
    401: "asks for a password (401): put it into the address, http://USER:PASSWORD@HOST",
    403: "does not answer by this name (403): ask it as 127.0.0.1 or localhost",
    404: "shows no state (404)",
    503: "is ending, or is too busy (503)",
}
