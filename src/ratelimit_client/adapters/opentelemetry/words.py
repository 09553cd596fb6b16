"""
The names of attributes, metrics and what they may say.

Law of this file: what has a name in the semantic conventions is called by that, all else begins with
``ratelimit_client.``.

Source: the conventions for generative AI of OpenTelemetry (spans and metrics, "development"), version 1.37, in which
``gen_ai.provider.name`` took the place of ``gen_ai.system``; the time to the first chunk came after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SCHEMA: Final = "https://opentelemetry.io/schemas/1.37.0"
SCOPE: Final = "ratelimit_client"

QUEUE: Final = "ratelimit_client.queue"
ATTEMPT: Final = "ratelimit_client.attempt"

KEY: Final = "ratelimit_client.key"
CLIENT: Final = "ratelimit_client.client"
NUMBER: Final = "ratelimit_client.attempt.number"
ATTEMPTS: Final = "ratelimit_client.attempts"
OUTCOME: Final = "ratelimit_client.outcome"
LIMIT: Final = "ratelimit_client.limit"
WAIT_S: Final = "ratelimit_client.server_wait_s"
REQUEST_ID: Final = "ratelimit_client.request_id"

ERROR_TYPE: Final = "error.type"
STATUS_CODE: Final = "http.response.status_code"
ADDRESS: Final = "server.address"
PORT: Final = "server.port"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
TOKEN_TYPE: Final = "gen_ai.token.type"
USED: Final[Mapping[str, str]] = {"input": "gen_ai.usage.input_tokens", "output": "gen_ai.usage.output_tokens"}

DURATION: Final = "gen_ai.client.operation.duration"
DURATION_S: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST: Final = "gen_ai.client.operation.time_to_first_chunk"
TOKENS: Final = "gen_ai.client.token.usage"
TOKENS_UP_TO: Final = tuple(4**power for power in range(14))

_OPERATIONS: Final[Mapping[str, str]] = {
    "/chat/completions": "chat",
    "/responses": "chat",
    "/messages": "chat",
    "/completions": "text_completion",
    "/embeddings": "embeddings",
    ":generateContent": "generate_content",
    ":streamGenerateContent": "generate_content",
}
"""By the end of the path; the first that fits."""

_PROVIDERS: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "xai": "x_ai",
    "generic": "openai",
    "ietf": "openai",
}
"""By our name of a dialect, where the conventions have another: who speaks no language of its own speaks OpenAI's."""

INFERENCE: Final = frozenset(_OPERATIONS.values())


def operation_of(path: str) -> str | None:
    """What a call to *path* asks a model for; None: it asks none, or for what has no name in the conventions."""
    return next((name for end, name in _OPERATIONS.items() if path.endswith(end)), None)


def provider_of(dialect: str) -> str:
    """Whose model it is, as far as the language of the server tells."""
    return _PROVIDERS.get(dialect, dialect)
