"""
Where a store is, as its URL says, and how it is connected to.

Law of this file: the URL may hold a password, so it is kept as a ``Secret`` and opened in
the one function that hands it to redis-py; what is shown of it are scheme, hosts and number.

    redis://[user:password@]host[:port][/db]
    rediss://...?ssl_ca_certs=FILE                                  the same over TLS
    unix://[user:password@]/path/of/socket?db=0
    redis+sentinel://[user:password@]host[:port][,host[:port]...]/service[/db]
    rediss+sentinel://...                                           the same over TLS, sentinels and store
    redis+cluster://[user:password@]host[:port], rediss+cluster://...
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ...errors import ConfigurationError
from ...runtime.secret import Secret
from .extra import needed

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
SENTINEL_PORT = 26379
CONNECT_S = 5.0

_TIMES: dict[str, Any] = {
    "socket_connect_timeout": CONNECT_S,
    "socket_timeout": CONNECT_S,  # each question has a deadline of its own, far shorter
    "socket_keepalive": True,
    "decode_responses": True,
}


# What newer versions of redis-py do by themselves; 5.2 takes the certificate of any host.
_VERIFIED: dict[str, Any] = {"ssl_check_hostname": True, "ssl_cert_reqs": "required"}


class Address:
    """
    Args:
        url: as above.

    Raises:
        ConfigurationError: it is none of these. The message shows no part that may hold a password.
    """

    __slots__ = ("_url", "shown")

    def __init__(self, url: str) -> None:
        self._url = Secret(url)
        complaint = _complaint(url)
        if complaint is None:
            self.shown = _shown(url)
            """What may be shown of it."""
            return
        url = ""  # a traceback that shows locals shows it
        raise ConfigurationError(complaint)

    def connect(self) -> Any:
        """A client of redis-py for it; nothing is sent before it is used."""
        return _client(self._url.reveal())

    def __repr__(self) -> str:
        return self.shown


def _complaint(url: str) -> str | None:
    """Why *url* is no address of a store."""
    kinds = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        return f"the URL of a store begins with one of {kinds}: redis://localhost:6379/0, for example"
    options = dict(parse_qsl(parts.query))
    if options.get("ssl_cert_reqs", "required") != "required" or options.get("ssl_check_hostname", "true") != "true":
        return "the certificate of a store is always verified: name its authority with ssl_ca_certs=FILE instead"
    try:
        hosts = _hosts(parts.netloc, 6379)
    except ValueError:
        return "the port of a store is a number, such as redis://localhost:6379/0"
    if parts.scheme == "unix":
        return None if parts.path.strip("/") else "unix:// takes the path of a socket, such as unix:///run/redis.sock"
    if not hosts:
        return "the URL of a store names its host, such as redis://localhost:6379/0"
    if parts.scheme.endswith("sentinel") and not parts.path.strip("/"):
        return "redis+sentinel:// ends in the name of the service, such as redis+sentinel://host:26379/mymaster"
    return None


def _hosts(netloc: str, port: int) -> list[tuple[str, int]]:
    """
    Raises:
        ValueError: a port is no number.
    """
    found = []
    for each in netloc.rpartition("@")[2].split(","):
        host, colon, given = each.rpartition(":")
        if not colon or given.endswith("]"):
            host, given = each, ""
        if host:
            found.append((host.strip("[]"), int(given) if given else port))
    return found


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _client(url: str) -> Any:
    parts = urlsplit(url)
    kind, secure = parts.scheme.rpartition("+")[2], parts.scheme.startswith("rediss")
    aio = needed("redis.asyncio")
    never = needed("redis.asyncio.retry").Retry(needed("redis.backoff").NoBackoff(), 0)
    if kind not in ("sentinel", "cluster"):
        # Its own way to try again charges twice when only the answer was lost; the store's has a number for it.
        times = {name: value for name, value in _TIMES.items() if kind != "unix" or name != "socket_keepalive"}
        return aio.Redis.from_url(url, retry=never, max_connections=2, **times, **(_VERIFIED if secure else {}))
    who, _, _ = parts.netloc.rpartition("@")
    user, _, password = who.partition(":")
    login = {"username": unquote(user) or None, "password": unquote(password) or None} if who else {}
    options: dict[str, Any] = {name: value for name, value in parse_qsl(parts.query) if name.startswith("ssl_")}
    if secure:
        options |= {"ssl": True, **_VERIFIED}
    if kind == "cluster":
        (host, port), *_ = _hosts(parts.netloc, 6379)
        cluster = needed("redis.asyncio.cluster")
        times = {name: value for name, value in _TIMES.items() if name != "socket_keepalive"}
        return cluster.RedisCluster(host=host, port=port, **times, **login, **options)
    service, _, number = parts.path.strip("/").partition("/")
    hosts = _hosts(parts.netloc, SENTINEL_PORT)
    sentinel = needed("redis.asyncio.sentinel").Sentinel(
        hosts, sentinel_kwargs={**_TIMES, "socket_connect_timeout": 1.0, "retry": never, **login, **options}
    )
    database: dict[str, Any] = {"db": int(number)} if number else {}
    return sentinel.master_for(service, retry=never, max_connections=2, **_TIMES, **login, **options, **database)
