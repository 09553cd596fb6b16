"""Limiters on a store of several servers, one of which is killed while they work: a Sentinel's and a Cluster's."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import redis

from ratelimit_client import Limiter, per_minute
from ratelimit_client.adapters.redis import RedisStore
from tests.adapters.redis.test_bad_days import A_SECOND, BUCKET, Log, greedy
from tests.redis_server import RedisServer, free_port
from tests.sizes import SIZE

PATIENCE_S = 120.0
SLOTS = 16_384

if SIZE != "test":  # it takes its time

    def test_a_sentinel_names_another_and_the_budget_goes_on_there(tmp_path: Path) -> None:
        """
        The primary is killed, three sentinels agree on the replica, and the limiters find it and share there.

        What the replica had got of the budget by then it has, so no more than that is spent twice.
        """

        async def story(servers: list[RedisServer]) -> Log:
            primary, replica, *sentinels = servers
            hosts = ",".join(f"127.0.0.1:{each.port}" for each in sentinels)
            url = f"redis+sentinel://{hosts}/budgets/0"

            async def fate() -> None:
                primary.kill()
                await until(lambda: role(replica) == "master", "the sentinels did not name the replica")

            return await through(url, fate)

        with sentinels_of_two(tmp_path) as servers:
            log = asyncio.run(story(servers))

        assert log.most_above_rate() <= 2 * BUCKET

    def test_a_node_of_a_cluster_dies_and_the_budget_goes_on_with_another(tmp_path: Path) -> None:
        """
        Three nodes have the slots, three more are their replicas; the one with the budget is killed.
        """

        async def story(nodes: list[RedisServer]) -> Log:
            urls = f"redis+cluster://127.0.0.1:{nodes[0].port}"
            store = RedisStore(urls)
            with redis.Redis(port=nodes[0].port) as client:
                slot = int(client.execute_command("CLUSTER", "KEYSLOT", store.key("m")))
            dead = 3 * slot // SLOTS
            survivor = nodes[(dead + 1) % 3]

            async def fate() -> None:
                nodes[dead].kill()
                await until(lambda: healthy(survivor), "no replica took the place of the node")

            return await through(f"redis+cluster://127.0.0.1:{survivor.port}", fate)

        with cluster_of_three(tmp_path) as nodes:
            log = asyncio.run(story(nodes))

        assert log.most_above_rate() <= 2 * BUCKET


async def through(url: str, fate: Callable[[], Awaitable[None]]) -> Log:
    """What three limiters let go that work before, while and after something happens to the store."""
    log = Log()
    stores = [RedisStore(url, workers=3) for _ in range(3)]
    limiters = [Limiter(per_minute(requests=BUCKET), store=store, max_in_flight=50) for store in stores]
    tasks = [asyncio.create_task(greedy(limiter, log)) for limiter in limiters for _ in range(20)]

    def shared() -> bool:
        """All have heard of the store, and it counts all of them."""
        keepings = [limiter.sharing for limiter in limiters]
        return all(
            keeping is not None and not keeping.lost and keeping.trips and members(limiter) == 3
            for limiter, keeping in zip(limiters, keepings, strict=True)
        )

    try:
        await until(shared, "they did not find the store")
        trips = [limiter.sharing.trips for limiter in limiters if limiter.sharing]
        await fate()
        await until(
            lambda: (
                shared()
                and all(
                    each.sharing and each.sharing.trips > had + 1 for each, had in zip(limiters, trips, strict=True)
                )
            ),
            "they did not find the store again",
        )
        before = len(log.at_s)
        await until(lambda: len(log.at_s) >= before + A_SECOND, "they did not go on")
        assert not any(task.done() for task in tasks), [task.exception() for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for limiter, store in zip(limiters, stores, strict=True):
            await limiter.close()
            await store.close()
    return log


def members(limiter: Limiter) -> int:
    """Processes that share, as this one was told."""
    assert limiter.sharing is not None
    return max((each.members for each in limiter.sharing._scheduler.keeper.leases.values()), default=0)


async def until(true: Callable[[], bool], otherwise: str) -> None:
    """Wait for it, and say what did not come."""
    ends = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < ends, f"{otherwise} within {PATIENCE_S:g} s"
        await asyncio.sleep(0.05)


def role(server: RedisServer) -> str:
    """Primary or replica."""
    with redis.Redis(port=server.port) as client:
        return str(client.info("replication")["role"])


def info(server: RedisServer) -> dict[str, str]:
    """What a node says of its cluster."""
    with redis.Redis(port=server.port, decode_responses=True) as client:
        said = client.execute_command("CLUSTER", "INFO")
    if isinstance(said, dict):
        return {str(name): str(value) for name, value in said.items()}
    return dict(line.split(":", 1) for line in str(said).splitlines() if ":" in line)


def healthy(server: RedisServer) -> bool:
    """All slots are served."""
    return info(server)["cluster_state"] == "ok"


@contextlib.contextmanager
def sentinels_of_two(folder: Path) -> Iterator[list[RedisServer]]:
    """A primary, its replica, and three that watch them."""
    servers: list[RedisServer] = []
    try:
        primary = RedisServer(folder).start()
        servers.append(primary)
        servers.append(
            RedisServer(folder, options=(f"replicaof 127.0.0.1 {primary.port}", "repl-diskless-sync-delay 0")).start()
        )
        watch = (
            f"sentinel monitor budgets 127.0.0.1 {primary.port} 2",
            "sentinel down-after-milliseconds budgets 500",
            "sentinel failover-timeout budgets 3000",
        )
        servers += [RedisServer(folder, options=watch, mode="--sentinel").start() for _ in range(3)]
        ends = time.monotonic() + PATIENCE_S
        while not all(map(_sees_all, servers[2:])):
            assert time.monotonic() < ends, "the sentinels did not find each other, or the replica"
            time.sleep(0.1)  # nothing tells when they have
        yield servers
    finally:
        for server in servers:
            server.kill()


def _sees_all(sentinel: RedisServer) -> bool:
    with redis.Redis(port=sentinel.port) as client:
        (state,) = client.sentinel_masters().values()
        replicas = client.sentinel_slaves("budgets")
    return bool(
        state["num-other-sentinels"] == 2
        and len(replicas) == 1
        and replicas[0]["master-link-status"] == "ok"
        and replicas[0]["role-reported"] == "slave"
    )


@contextlib.contextmanager
def cluster_of_three(folder: Path) -> Iterator[list[RedisServer]]:
    """Three nodes with a third of the slots each, and a replica of each behind them."""
    nodes: list[RedisServer] = []
    buses: list[int] = []
    try:
        for number in range(6):
            buses.append(free_port())
            options = (
                "cluster-enabled yes",
                f"cluster-port {buses[-1]}",
                f"cluster-config-file nodes-{number}.conf",
                "cluster-node-timeout 1000",
                "repl-diskless-sync-delay 0",
            )
            nodes.append(RedisServer(folder, options=options).start())
        clients = [redis.Redis(port=node.port, decode_responses=True) for node in nodes]
        for number, client in enumerate(clients[:3]):
            client.execute_command(
                "CLUSTER", "ADDSLOTSRANGE", -(-SLOTS * number // 3), -(-SLOTS * (number + 1) // 3) - 1
            )
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node, bus in zip(nodes, buses, strict=True):
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        ends = time.monotonic() + PATIENCE_S
        while not all(info(node)["cluster_known_nodes"] == "6" for node in nodes):
            assert time.monotonic() < ends, "the nodes did not find each other"
            time.sleep(0.1)  # nothing tells when they have
        for client, replica in zip(clients[:3], clients[3:], strict=True):
            replica.execute_command("CLUSTER", "REPLICATE", client.execute_command("CLUSTER", "MYID"))
        while not all(map(healthy, nodes)) or not all(_follows(node) for node in nodes[3:]):
            assert time.monotonic() < ends, "the cluster is not healthy"
            time.sleep(0.1)  # nothing tells when it is
        for client in clients:
            client.close()
        yield nodes
    finally:
        for node in nodes:
            node.kill()


def _follows(node: RedisServer) -> bool:
    with redis.Redis(port=node.port) as client:
        found = client.info("replication")
    return bool(found["role"] == "slave" and found["master_link_status"] == "up")
