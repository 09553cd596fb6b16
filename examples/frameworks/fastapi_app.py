"""
FastAPI: one limiter in each process, made and drained by the lifespan.

    pip install "ratelimit-client[openai]" fastapi uvicorn
    uvicorn --app-dir examples/frameworks fastapi_app:app
    python examples/frameworks/fastapi_app.py [CALLS]        # serves, asks itself, and stops

A request waits inside its handler; told to stop, uvicorn lets those under way end, and then the lifespan does.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.openai import http_client

MODEL = "gpt-4o-mini"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, AsyncOpenAI]]:
    async with Limiter() as limiter, AsyncOpenAI(http_client=http_client(limiter)) as client:
        yield {"openai": client}


app = FastAPI(lifespan=lifespan)


@app.get("/ask")
async def ask(request: Request, question: str) -> str:
    answer = await request.state.openai.responses.create(model=MODEL, input=question)
    return answer.output_text


@app.get("/tell")
async def tell(request: Request, question: str) -> StreamingResponse:
    asked = [{"role": "user", "content": question}]
    stream = await request.state.openai.chat.completions.create(model=MODEL, messages=asked, stream=True)
    return StreamingResponse(chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices)


async def get(session: aiohttp.ClientSession, path: str, question: str) -> str:
    async with session.get(path, params={"question": question}) as response:
        response.raise_for_status()
        return await response.text()


async def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        async with aiohttp.ClientSession(f"http://127.0.0.1:{listening.getsockname()[1]}") as session:
            plain = await asyncio.gather(*(get(session, "/ask", f"What is {n} as a numeral?") for n in range(calls)))
            late = [asyncio.create_task(get(session, "/tell", f"Count to {n}.")) for n in range(calls)]
            await asyncio.wait(late, return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True  # with the others still waiting for their turn
            streamed = await asyncio.gather(*late)
        await serving
    print(f"{len(list(filter(None, plain)))} answers, {len(list(filter(None, streamed)))} streamed")


if __name__ == "__main__":
    asyncio.run(main())
