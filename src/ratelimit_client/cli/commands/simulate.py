"""
``simulate``: the model server as a program.

Law of this file: one line on stdout, the base URL, so that a script can read it;
then it serves until it is told to stop, which is its normal end.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from typing import Any

from ...errors import ConfigurationError
from ...testing.app import serve_model
from ...testing.conduct import Faults
from ...testing.enforcement import Enforcement
from ...testing.model_server import ModelServer
from ...testing.serve import enforcement
from ..args import Request
from ..options import quotas_by_model
from ..voice import Voice


def main(request: Request, voice: Voice) -> int:
    """Serve until a signal comes."""
    return asyncio.run(_serve(request.options, voice))


async def _serve(options: Mapping[str, Any], voice: Voice) -> int:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    server = model_server(options)
    try:
        async with serve_model(server, host=options["host"], port=options["port"]) as url:
            print(str(url), flush=True)
            voice.say(f"serving {_limits(server)}; Ctrl-C ends it")
            await stopped.wait()
    except OSError as error:
        address = f"{options['host']}:{options['port']}"
        raise ConfigurationError(f"cannot listen on {address}: {error.strerror}; --port 0 takes a free port") from None
    tally = server.tally
    voice.say(f"served {tally.calls} calls, refused {tally.refusals}")
    return 0


def model_server(options: Mapping[str, Any]) -> ModelServer:
    """The server that the options describe."""
    return ModelServer(
        quotas_by_model(options["limit"]) if options["limit"] else None,
        enforcement=_enforcement(options["enforcement"]),
        headers=not options["no_headers"],
        charge_refusals=not options["free_refusals"],
        latency=options["latency"],
        refusal_latency=options["refusal_latency"],
        faults=Faults(server_error=options["server_errors"]),
        api_keys=options["api_key"],
        models=options["model"],
        quota_after=options["quota_after"],
        seed=options["seed"],
    )


def _enforcement(text: str) -> Enforcement:
    try:
        return enforcement(text)
    except ValueError as error:
        raise ConfigurationError(f"--enforcement: {error}") from None


def _limits(server: ModelServer) -> str:
    return "; ".join(
        f"{'every model' if model == '*' else model}: {', '.join(str(quota) for quota in quotas)}"
        for model, quotas in server.limits.items()
    )
