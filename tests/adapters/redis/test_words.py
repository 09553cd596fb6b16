"""Words of several processes in a real store: who hears them, how long they live, how much room they take."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import redis

from ratelimit_client.adapters.redis import RedisStore
from ratelimit_client.core.fitting import Evidence
from ratelimit_client.core.lease import Call, Lease, Renewal
from ratelimit_client.core.lore import MOST_PIECES, MOST_RULES, MOST_TELLERS, Lore, mark
from tests.redis_server import running

ACL = "user limits on >of-a-test ~ratelimit_client:* +ping +eval +evalsha +time +hgetall +hset +hdel +pexpire"
PIECE = Evidence((4 * 16_384, 4 * 12_000, 8_000, 3_060, 40_000, 4), 42_000, 1)
WORD = Lore(60_000, tuple((mark("m", f"/{number}"), (PIECE,) * MOST_PIECES) for number in range(MOST_RULES)))


async def renewed(store: RedisStore, process: str, *, tells: Lore | None = None, asks: bool = False) -> Lease:
    renewal = Renewal(budget="m", tells=tells, asks=asks)
    return (await store.renew(Call(process=process, number=1, ttl_us=3_000_000, renewals=(renewal,))))[0]


def test_words_are_heard_bounded_and_forgotten_after_a_day(tmp_path: Path) -> None:
    """By a user that may do what the documents say and nothing else; and what a stranger wrote there says nothing."""

    async def story(url: str, client: redis.Redis) -> None:
        store = RedisStore(url.replace("//", "//limits:of-a-test@"), name="here")
        for number in range(MOST_TELLERS + 4):
            await renewed(store, f"p{number:011}", tells=WORD)
        (key,) = client.keys("*:told")
        assert client.hlen(key) == MOST_TELLERS
        assert client.memory_usage(key) <= 12_288
        assert client.pttl(key) == pytest.approx(86_400_000, abs=60_000)
        client.hset(key, "stranger", "whatever this is")
        client.hset(key, "another", "12 9;of-another-version")
        lease = await renewed(store, "newcomer", asks=True)
        assert [each.lore for each in lease.told] == [WORD] * MOST_TELLERS
        assert all(each.age_us < 60_000_000 for each in lease.told)
        assert (await renewed(store, "deaf")).told == ()
        await store.close()

    with running(tmp_path, ACL) as server, redis.Redis(port=server.port) as client:
        asyncio.run(story(server.url, client))
