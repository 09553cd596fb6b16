"""
Where a command sends its calls, and as whom.

Law of this file: a flag, else the environment, else OpenAI's own address; in the
one spelling that is compared.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .. import __version__
from ..adapters.aiohttp.client import Client
from ..adapters.aiohttp.url import OPENAI
from ..bulk.forecast import REST
from ..bulk.manifest import Manifest, masked
from ..bulk.shards import check_division
from ..bulk.source import Source
from ..bulk.state import load
from ..core.quota import Quotas
from ..core.retry import RetryPolicy
from ..dialects import detect
from ..dialects.registry import AUTO
from ..errors import ConfigurationError
from ..runtime.limiter import Limiter
from .counter import TIKTOKEN
from .options import quotas_by_model

if TYPE_CHECKING:
    from ..adapters.redis import RedisStore
    from ..bulk.engines.recipe import Recipe


def base_url(given: str | None) -> str:
    """The base URL, without a slash at its end."""
    return str(given or os.environ.get("OPENAI_BASE_URL") or OPENAI).strip().rstrip("/")


def with_shard(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    The options with the output of the shard in the place of the whole.

    Raises:
        ConfigurationError: the output was begun whole, or in another number of shards.
    """
    out, shard = options["out_path"], options["shard"]
    if options["engine"] == "ray":
        _check_cluster(options)
        return options
    if out == "-":
        return options
    if shard is not None or not options["overwrite"]:
        check_division(out, shard)
    return options if shard is None else {**options, "out_path": shard.path(out)}


def _check_cluster(options: Mapping[str, Any]) -> None:
    """What can be refused before a cluster is looked for."""
    if options["shard"] is not None:
        raise ConfigurationError("--shard is for a job scheduler: with --engine ray leave it out, Ray divides the rows")
    if options["input"] == "-":
        raise ConfigurationError("--engine ray reads files: save what comes through the pipe first")
    if options["out_path"] != "-":
        if "://" in options["out_path"]:
            raise ConfigurationError(
                f"{options['out_path']} is no file of this machine: answers are appended and synced one by one, which "
                "an object store cannot do; give a path, and copy the shards when the job is done"
            )
        from ..bulk.sharded import number_of

        number_of(options["out_path"], 1)


def recipe_of(options: Mapping[str, Any]) -> Recipe:
    """How one of several workers makes its client."""
    from ..bulk.engines.recipe import Recipe

    return Recipe(
        base_url=base_url(options["base_url"]),
        quotas=quotas_by_model(options["limit"] or ()),
        dialect=options["dialect"],
        max_in_flight=options["max_in_flight"],
        max_attempts=options["max_attempts"],
        query=dict(options["query"] or ()),
        allow_insecure=options["allow_insecure"],
        priority=options["priority"],
        deadline_s=options["deadline"],
        counts_tokens=options["counter"] == TIKTOKEN,
        store=options["store"],
        budget="default" if (store := store_of(options)) is None else store.name,
        on_store_failure=options["on_store_failure"],
    )


def known_limits(options: Mapping[str, Any]) -> dict[str, Quotas]:
    """
    The limits of each model that are known before the first call.

    What was typed replaces what ``--state`` remembers, for the models it was typed for.
    """
    given = quotas_by_model(options["limit"] or ())
    if not options["state"]:
        return given
    remembered = load(options["state"], now_s=time.time()).of(base_url(options["base_url"]))
    return (remembered if REST not in given else {}) | given


def store_of(options: Mapping[str, Any], *, url: str | None = None, own: bool = True) -> RedisStore | None:
    """
    The store that was named; shared are the limits of one host, organization and project, unless it has a name.

    Args:
        url: of the API, where it is not that of the options.
        own: calls go with the key of this process, so it knows of which organization and project they are.

    Raises:
        ConfigurationError: its URL is none, or redis-py is not installed.
    """
    if not options["store"]:
        return None
    from ..adapters.redis import RedisStore

    host = urlsplit(base_url(options["base_url"]) if url is None else url).netloc.rpartition("@")[2]
    whose = (host, os.environ.get("OPENAI_ORG_ID"), os.environ.get("OPENAI_PROJECT_ID")) if own else (host,)
    name = re.sub(r"[^A-Za-z0-9_.:-]", "-", "/".join(filter(None, whose)))[:100]
    named = options["store_name"] or name
    return RedisStore(options["store"], name=named, on_store_failure=options["on_store_failure"])


def new_client(options: Mapping[str, Any], store: RedisStore | None = None) -> Client:
    """
    The client that makes the calls.

    Raises:
        ConfigurationError: key, base URL, dialect or limits cannot be.
    """
    try:
        return _new_client(options) if store is None else _sharing_client(options, store)
    except LookupError as error:
        raise ConfigurationError(f"--dialect: {error.args[0] if error.args else error}") from None


def _new_client(options: Mapping[str, Any]) -> Client:
    return Client(
        options["base_url"],
        api_key=options.get("api_key"),
        quotas=quotas_by_model(options["limit"] or ()),
        name="bulk",
        dialect=options["dialect"],
        max_in_flight=options["max_in_flight"],
        retry=RetryPolicy.bulk(max_attempts=options["max_attempts"]),
        default_query=dict(options["query"] or ()),
        allow_insecure=options["allow_insecure"],
    )


def _sharing_client(options: Mapping[str, Any], store: RedisStore) -> Client:
    url, dialect = base_url(options["base_url"]), options["dialect"]
    if dialect == AUTO and (found := detect(url=url)).is_vendors:
        dialect = found
    limiter = Limiter(
        quotas_by_model(options["limit"] or ()),
        name="bulk",
        dialect=dialect,
        max_in_flight=options["max_in_flight"],
        retry=RetryPolicy.bulk(max_attempts=options["max_attempts"]),
        store=store,
    )
    return Client(
        options["base_url"],
        api_key=options.get("api_key"),
        limiter=limiter,
        default_query=dict(options["query"] or ()),
        allow_insecure=options["allow_insecure"],
    )


def job_of(options: Mapping[str, Any], source: Source) -> Manifest:
    """What makes this job the one it is."""
    return Manifest(
        input=source.path if source.path == "-" or "://" in source.path else os.path.abspath(source.path),
        base_url=base_url(options["base_url"]),
        query=masked(dict(options["query"] or ())),
        library=__version__,
    )
