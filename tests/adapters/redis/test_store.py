"""A store that is what it should be, and all the ways in which one is not."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from ratelimit_client.adapters.redis import RedisStore
from ratelimit_client.core.lease import BucketId, Call, Fact, Lease, Renewal, Wish
from ratelimit_client.errors import ConfigurationError, RateLimitClientError, StoreUnavailable
from tests import canary
from tests.reaching import frames, inside
from tests.redis_server import RedisServer, free_port, running

MINUTE = 60_000_000
DATA = Path(__file__).parents[1] / "aiohttp" / "data"
ID = BucketId("requests", "requests", MINUTE)


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(shared_server: RedisServer) -> RedisServer:
    """With nothing in it."""
    with redis.Redis(port=shared_server.port) as client:
        client.flushall()
        client.script_flush()
    return shared_server


def asking(number: int = 1, *, process: str = "a", wants: int = 10, spent: int = 0, keeps: int = 0, **of: Any) -> Call:
    """One question about one budget of a hundred requests a minute."""
    fact = Fact(id=ID, limit=100, capacity=100, level=100)
    wish = Wish(unit="requests", spent=spent, keeps=keeps, wants=wants)
    renewal = Renewal(budget="m", facts=(fact,), wishes=(wish,), **of)
    return Call(process=process, number=number, ttl_us=3_000_000, renewals=(renewal,))


def level(lease: Lease) -> int:
    return lease.buckets[0].level


def run(story: Callable[[], Awaitable[None]]) -> None:
    """On a loop of its own, and not for ever."""

    async def bounded() -> None:
        async with asyncio.timeout(30.0):
            await story()

    asyncio.run(bounded())


@contextlib.asynccontextmanager
async def store_at(url: str, **of: Any) -> AsyncIterator[RedisStore]:
    store = RedisStore(url, **of)
    try:
        yield store
    finally:
        await store.close()


async def complaint(url: str) -> RateLimitClientError:
    """Why it cannot be used."""
    async with store_at(url) as store:
        with pytest.raises(RateLimitClientError) as caught:
            await store.check()
        return caught.value


def complaint_of(url: str) -> RateLimitClientError:
    """The same, and nothing of it shows the password."""
    error = asyncio.run(complaint(url))
    assert (error.__cause__, error.__context__) == (None, None)
    for frame in frames(error):
        for value in frame.f_locals.values():
            canary.clean(repr([value, *inside(value)]), "a local of a frame")
    canary.clean(str(error), "an error of a store")
    canary.clean(repr(pickle.loads(pickle.dumps(error))), "its pickle")
    return error


# -- what it does ------------------------------------------------------------------------


def test_two_processes_lease_from_one_budget(server: RedisServer) -> None:
    """What one holds the other cannot have."""

    async def story() -> None:
        async with store_at(server.url) as one, store_at(server.url) as other:
            (first,) = await one.renew(asking(process="a", wants=80))
            (second,) = await other.renew(asking(process="b", wants=80))

        assert [first.grants[0].units, second.grants[0].units] == [80, 20]
        assert (second.members, level(second)) == (2, 0)

    run(story)


def test_budgets_of_other_names_and_schemas_are_others(server: RedisServer) -> None:
    """The key says whose it is: the version of the script, the name, the budget; never a key of an API."""

    async def story() -> None:
        async with store_at(server.url, name="prod") as one, store_at(server.url, name="test") as other:
            (first,) = await one.renew(asking(wants=100))
            (second,) = await other.renew(asking(wants=100))
            assert first.grants[0].units == second.grants[0].units == 100
            assert one.key("m") == "ratelimit_client:1:{prod}:m"

    run(story)
    with redis.Redis(port=server.port, decode_responses=True) as client:
        assert sorted(client.keys()) == ["ratelimit_client:1:{prod}:m", "ratelimit_client:1:{test}:m"]


def test_a_script_that_was_flushed_is_taught_again(server: RedisServer) -> None:
    """Without anybody noticing."""

    async def story() -> None:
        async with store_at(server.url) as store:
            await store.renew(asking(1))
            with redis.Redis(port=server.port) as client:
                client.script_flush()
            (lease,) = await store.renew(asking(2, wants=5, fence=1))
            assert lease.grants[0].units == 5

    run(story)


def test_one_question_is_one_round_trip(server: RedisServer) -> None:
    """However many budgets it is about."""

    async def story() -> None:
        async with store_at(server.url) as store:
            await store.check()
            with redis.Redis(port=server.port) as client:
                before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
                many = tuple(Renewal(budget=f"m{number}") for number in range(20))
                leases = await store.renew(Call(process="a", number=1, ttl_us=3_000_000, renewals=many))
                assert len(leases) == 20
                assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1

    run(story)


# -- set up wrongly ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "user", "what"),
    [
        ([f"requirepass {canary.KEY}"], "", "wants a password"),
        (["requirepass another"], f":{canary.KEY}@", "refused the password"),
        ([f"user worker on >{canary.KEY} ~* +ping"], f"worker:{canary.KEY}@", "this user may not"),
        ([f"user worker on >{canary.KEY} ~other:* +@all"], f"worker:{canary.KEY}@", "this user may not"),
        (["rename-command EVALSHA nothing"], "", "knows no scripts"),
        (["replicaof 127.0.0.1 1", "replica-serve-stale-data yes"], "", "is a replica"),
    ],
    ids=["no password", "wrong password", "ACL", "ACL of keys", "no scripts", "replica"],
)
def test_what_only_a_person_can_mend_is_told_at_once(tmp_path: Path, options: list[str], user: str, what: str) -> None:
    """And without the password."""
    with running(tmp_path, *options) as server:
        error = complaint_of(server.url.replace("//", f"//{user}"))

    assert isinstance(error, ConfigurationError)
    assert what in str(error)
    assert f"127.0.0.1:{server.port}" in str(error)


def test_a_database_that_is_not_there(server: RedisServer) -> None:
    """Sixteen is what it has."""
    error = complaint_of(f"redis://127.0.0.1:{server.port}/99")

    assert isinstance(error, ConfigurationError)
    assert "no database of this number" in str(error)


def test_what_is_no_redis() -> None:
    """A web server, say."""
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        error = complaint_of(f"redis://:{canary.KEY}@127.0.0.1:{port}")

    assert isinstance(error, ConfigurationError)
    assert "no Redis" in str(error)


def test_nobody_there() -> None:
    """Time may mend it."""
    error = complaint_of(f"redis://:{canary.KEY}@127.0.0.1:{free_port()}")

    assert isinstance(error, StoreUnavailable)
    assert "Connect" in str(error) or "refused" in str(error)


@pytest.mark.parametrize("certificate", ["stranger.pem", "expired.pem", "good.pem"])
def test_a_store_that_cannot_prove_who_it_is_gets_nothing(certificate: str) -> None:
    """Of another name, too old, or signed by nobody we know: no password is sent."""
    authority = f"?ssl_ca_certs={DATA / 'ca.pem'}" if certificate != "good.pem" else ""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / certificate)
    heard = bytearray()
    with listening(b"", context=context, heard=heard) as port:
        error = complaint_of(f"rediss://:{canary.KEY}@127.0.0.1:{port}/0{authority}")

    assert isinstance(error, ConfigurationError)
    assert "is not who it says" in str(error)
    assert heard == b""


@pytest.mark.parametrize("option", ["ssl_cert_reqs=none", "ssl_check_hostname=false"])
def test_nobody_turns_verification_off(option: str) -> None:
    """There is no such switch."""
    with pytest.raises(ConfigurationError, match="always verified"):
        RedisStore(f"rediss://:{canary.KEY}@host/0?{option}")


@pytest.mark.parametrize(
    ("of", "what"),
    [
        ({"name": "a b"}, "no name of a budget"),
        ({"name": "{x}"}, "no name of a budget"),
        ({"name": ""}, "no name of a budget"),
        ({"on_store_failure": "panic"}, "on_store_failure"),
        ({"workers": 0}, "workers"),
        ({"workers": True}, "workers"),
    ],
)
def test_what_cannot_be_is_refused_in_the_constructor(of: dict[str, Any], what: str) -> None:
    """Before anything is connected."""
    with pytest.raises(ConfigurationError, match=what):
        RedisStore("redis://localhost", **of)


# -- what time mends -------------------------------------------------------------------------


def test_a_full_store_is_waited_for(tmp_path: Path) -> None:
    """Out of memory it takes nothing; nothing is wrong with its address."""
    with running(tmp_path, "maxmemory 1") as server:
        error = complaint_of(server.url)

    assert isinstance(error, StoreUnavailable)
    assert "out of memory" in str(error)


def test_a_store_that_came_back_is_used_again(tmp_path: Path) -> None:
    """Killed, it is missed once; restarted, the same object goes on, on a new connection and with a new script."""

    async def story() -> None:
        with running(tmp_path) as server:
            async with store_at(server.url) as store:
                await store.renew(asking(1))
                server.kill()
                with pytest.raises(StoreUnavailable):
                    await store.renew(asking(2))
                server.start()
                (lease,) = await store.renew(asking(3, wants=7, spent=4, keeps=3, fence=1, born_us=5))

        assert lease.grants[0].units == 0  # it has forgotten, so there is nothing to lend yet
        assert level(lease) <= 0

    run(story)


def test_an_answer_that_was_lost_charges_once(server: RedisServer) -> None:
    """The question is asked again on a new connection, and the script knows its number."""

    async def story() -> None:
        lost = {2}
        async with losing(server.port, answers=lost) as port, store_at(f"redis://127.0.0.1:{port}") as store:
            await store.renew(asking(1, wants=0))
            (lease,) = await store.renew(asking(2, wants=30, fence=1))

        assert lost == set(), "no answer was lost"
        assert (lease.grants[0].units, level(lease)) == (30, 70)

    run(story)


def test_a_cancelled_question_gives_nobody_its_answer(server: RedisServer) -> None:
    """Cancelled with the answer on its way: the next one, at once, gets its own."""

    async def story() -> None:
        async with losing(server.port, late=0.03) as port, store_at(f"redis://127.0.0.1:{port}") as store:
            await store.check()
            for number in range(1, 11):
                cut = asyncio.create_task(store.renew(asking(number, process="cut", wants=3)))
                await asyncio.wait([cut], timeout=0.002 * (number % 10))
                cut.cancel()
                (lease,) = await store.renew(asking(number, process=f"p{number}", wants=number))
                assert lease.grants[0].units == number or level(lease) <= 0

    run(story)


def test_it_follows_its_user_to_another_loop(server: RedisServer) -> None:
    """A connection belongs to a loop; on the next one there is a new one."""
    store = RedisStore(server.url)
    for number in (1, 2):

        async def story(number: int = number) -> None:
            (lease,) = await store.renew(asking(number, wants=5, fence=number - 1))
            assert lease.fence == 1
            await store.close()
            await store.close()

        run(story)


def test_over_a_socket_of_the_machine(tmp_path: Path) -> None:
    """unix://."""
    path = tmp_path / "s"

    async def story() -> None:
        with running(tmp_path, f"unixsocket {path}"):
            async with store_at(f"unix://{path}") as store:
                (lease,) = await store.renew(asking(wants=5))
                assert lease.grants[0].units == 5
                assert repr(store) == f"<RedisStore unix://{path} default>"

    run(story)


def test_over_tls(server: RedisServer) -> None:
    """With an authority of one's own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / "good.pem")

    async def story() -> None:
        async with (
            losing(server.port, context=context) as port,
            store_at(f"rediss://localhost:{port}/0?ssl_ca_certs={DATA / 'ca.pem'}") as store,
        ):
            (lease,) = await store.renew(asking(wants=5))
            assert lease.grants[0].units == 5

    run(story)


def test_through_a_sentinel(tmp_path: Path) -> None:
    """It names the primary; one that knows no such service is waited for."""

    async def story() -> None:
        with running(tmp_path, "requirepass other") as server:
            lines = (f"sentinel monitor one 127.0.0.1 {server.port} 1", "sentinel auth-pass one other")
            sentinel = RedisServer(tmp_path, options=(*lines, "requirepass other"), mode="--sentinel").start()
            try:
                hosts = f"127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}"
                async with store_at(f"redis+sentinel://:other@{hosts}/one/0") as store:
                    (lease,) = await store.renew(asking(wants=5))
                    assert lease.grants[0].units == 5
                async with store_at(f"redis+sentinel://:other@{hosts}/two") as store:
                    with pytest.raises(StoreUnavailable, match="MasterNotFound"):
                        await store.check()
            finally:
                sentinel.kill()

    run(story)


def test_in_a_cluster(tmp_path: Path) -> None:
    """All budgets of one name lie in one slot, so one question asks about all; a plain URL is told the right one."""

    async def story() -> None:
        with running(tmp_path, "cluster-enabled yes", f"cluster-port {free_port()}") as server:
            error = await complaint(server.url)
            assert isinstance(error, StoreUnavailable)
            assert "the cluster is down" in str(error)
            with redis.Redis(port=server.port) as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO", NEVER_DECODE=True):
                    time.sleep(0.05)  # noqa: ASYNC251 - nobody else is on this loop, and nothing tells when it is
            async with store_at(f"redis+cluster://127.0.0.1:{server.port}") as store:
                many = tuple(Renewal(budget=f"m{number}") for number in range(5))
                assert len(await store.renew(Call(process="a", number=1, ttl_us=10**6, renewals=many))) == 5
                (lease,) = await store.renew(asking(wants=5))
                assert lease.grants[0].units == 5

    run(story)


# -- helpers -----------------------------------------------------------------------------------


@contextlib.contextmanager
def listening(answer: bytes, *, context: ssl.SSLContext | None = None, heard: bytearray | None = None) -> Iterator[int]:
    """A port where somebody says *answer* to whatever it hears; in a thread, since the client has the loop."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(0.2)
        ends = threading.Event()

        def serve() -> None:
            while not ends.is_set():
                with contextlib.suppress(OSError):
                    peer, _ = door.accept()
                    peer.settimeout(2.0)
                    with contextlib.closing(context.wrap_socket(peer, server_side=True) if context else peer) as talk:
                        said = talk.recv(4096)
                        if heard is not None:
                            heard.extend(said)
                        talk.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield door.getsockname()[1]
        finally:
            ends.set()
            thread.join()


@contextlib.asynccontextmanager
async def losing(
    port: int, *, answers: set[int] = frozenset(), late: float = 0.0, context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A way to a store on which the answers of these numbers are lost with the connection, and all come late."""
    tasks: set[asyncio.Task[None]] = set()
    count = 0

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        there, away = await asyncio.open_connection("127.0.0.1", port)

        async def back() -> None:
            nonlocal count
            while data := await there.read(65536):
                count += b"$16" in data or data.startswith(b"*2")
                if count in answers and data.startswith(b"*2"):
                    answers.discard(count)
                    writer.close()
                    return
                if late:
                    await asyncio.sleep(late)
                writer.write(data)

        task = asyncio.ensure_future(back())
        tasks.add(task)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                away.write(data)
        away.close()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await task
        writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)
