"""
How each vendor is recognised, before its table is loaded.

Law of this file: a host is certain, a header that only one vendor sends gives it away,
and where neither says anything the words of its errors may. Of two whose signs an answer
carries, the earlier one is taken: who passes another's headers on stands before it.

Theory: an answer is read by one table of some twenty, and most programs meet one vendor.
So these few words stand by themselves and are all that is read at first; a table is
loaded when an answer, or its user, asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Signs:
    """
    Args:
        name: what users type.
        module: the file its table is in; the table is called as the vendor, in capitals.
        hosts, markers: as of a `Dialect`.
        wording: a regular expression for what only its errors say, or "".
    """

    name: str
    module: str
    hosts: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    wording: str = ""


ALL: tuple[Signs, ...] = (
    Signs(
        "azure",
        "azure",
        hosts=(
            ".openai.azure.com",
            ".openai.azure.us",
            ".cognitiveservices.azure.com",
            ".services.ai.azure.com",
            ".models.ai.azure.com",
            "models.inference.ai.azure.com",
            "models.github.ai",
        ),
        markers=(
            "apim-request-id",
            "azureml-model-session",
            "x-ms-region",
            "x-ms-deployment-name",
            "x-ms-rai-invoked",
            "x-ratelimit-abusepenalty-active",
            "x-ratelimit-renewalperiod-",
        ),
        wording=r"\bazure openai\b|\bS0 pricing tier\b|\bx-ms-fe-error\b|\bcall volume quota\b",
    ),
    Signs(
        "openrouter",
        "gateways",
        hosts=("openrouter.ai", ".openrouter.ai"),
        markers=("x-openrouter-", "x-generation-id"),
        wording=r"\bopenrouter\.ai\b|\bfree-models-per-|\blimit_rpm/",
    ),
    Signs(
        "openai",
        "openai",
        hosts=("api.openai.com", ".api.openai.com", "chatgpt.com"),
        markers=("openai-processing-ms", "openai-version", "openai-organization", "openai-project", "x-codex-"),
        wording=r"\bplatform\.openai\.com\b|\bhelp\.openai\.com\b",
    ),
    Signs(
        "anthropic",
        "anthropic",
        hosts=("api.anthropic.com", ".anthropic.com", "api.claude.com"),
        markers=("anthropic-",),
        wording=r"\b(?:docs|console|support)\.(?:anthropic|claude)\.com\b|\byou will regain access on\b",
    ),
    Signs(
        "groq",
        "groq",
        hosts=("api.groq.com",),
        markers=("x-groq-",),
        wording=r"\bconsole\.groq\.com\b|\bservice tier `?on_demand\b",
    ),
    Signs(
        "mistral",
        "mistral",
        hosts=("api.mistral.ai", ".mistral.ai"),
        markers=("mistral-", "ratelimitbysize-", "x-ratelimitbysize-", "x-ratelimit-tokens-query-cost"),
        wording=r"\bservice tier capacity exceeded\b",
    ),
    Signs(
        "gemini",
        "gemini",
        hosts=("generativelanguage.googleapis.com", "aiplatform.googleapis.com", "-aiplatform.googleapis.com"),
        markers=("x-gemini-", "x-vertex-ai-"),
        wording=r"\bgenerativelanguage\.googleapis\.com\b|\baiplatform\.googleapis\.com\b|\bai\.google\.dev\b"
        r"|\bcloud\.google\.com\b|\bresource_exhausted\b",
    ),
    Signs("cerebras", "hosted", hosts=("api.cerebras.ai",), markers=("x-cerebras-",)),
    Signs("fireworks", "hosted", hosts=("api.fireworks.ai", ".fireworks.ai"), markers=("fireworks-",)),
    Signs("together", "hosted", hosts=("api.together.xyz", "api.together.ai"), markers=("x-tokenlimit-",)),
    Signs(
        "xai",
        "hosted",
        hosts=("api.x.ai", ".api.x.ai"),
        markers=("x-xai-",),
        wording=r"\bsome_resource_has_been_exhausted\b|\bconsole\.x\.ai\b",
    ),
    Signs(
        "cohere",
        "hosted",
        hosts=("api.cohere.com", "api.cohere.ai"),
        markers=("x-trial-endpoint-call-limit", "x-endpoint-monthly-call-limit", "x-api-warning"),
        wording=r"\bdashboard\.cohere\.com\b|\busing a trial key\b",
    ),
    Signs(
        "replicate",
        "hosted",
        hosts=("api.replicate.com",),
        markers=("replicate-",),
        wording=r"\brate limit for creating predictions\b",
    ),
    Signs(
        "huggingface",
        "hosted",
        hosts=("huggingface.co", ".huggingface.co", "hf.co"),
        markers=("x-repo-commit", "x-inference-provider"),
        wording=r"\bhuggingface\.co\b|\bhf\.co\b",
    ),
    Signs(
        "github",
        "forges",
        hosts=("api.github.com", "uploads.github.com"),
        markers=("x-github-", "x-ratelimit-resource"),
        wording=r"\bdocs\.github\.com\b|\bdeveloper\.github\.com\b|\bsecondary rate limit\b",
    ),
    Signs(
        "gitlab",
        "forges",
        hosts=("gitlab.com",),
        markers=("x-gitlab-", "ratelimit-resettime", "ratelimit-observed"),
    ),
    Signs(
        "docker",
        "forges",
        hosts=("registry-1.docker.io", "auth.docker.io", "hub.docker.com"),
        markers=("docker-",),
        wording=r"\bpull rate limit\b",
    ),
    Signs(
        "discord",
        "forges",
        hosts=("discord.com", ".discord.com", "discordapp.com"),
        markers=("x-ratelimit-bucket", "x-ratelimit-scope", "x-ratelimit-global"),
    ),
    Signs("ietf", "ietf", markers=("ratelimit", "ratelimit-policy")),
    Signs("generic", "generic"),
)
"""Every vendor, in the order of precedence."""

BY_NAME: Mapping[str, Signs] = {signs.name: signs for signs in ALL}

MARKS: Mapping[str, str] = {marker: signs.name for signs in reversed(ALL) for marker in signs.markers}
"""Header name, or its beginning, -> whose it is."""


def signs(name: str) -> dict[str, Any]:
    """What a table is to say of itself: its name, its hosts and its markers."""
    known = BY_NAME[name]
    return {"name": name, "hosts": known.hosts, "markers": known.markers}
