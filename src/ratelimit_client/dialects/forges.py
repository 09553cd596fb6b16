"""
GitHub, GitLab, Docker Hub and Discord: fixed windows that step at an announced instant.

Law of this file: a reset is an instant, in whole seconds since 1970. A refusal beats what
is left: a secondary limit refuses while ``remaining`` still shows 25 of 30.

    github     an hour, or a minute for the resources that say so; 403 as often as 429;
               a secondary limit without retry-after: a minute at least, and growing
    gitlab     the IETF's name with an instant in it (RateLimit-Reset: 1609844400)
    docker     so many in six hours (``100;w=21600``), without a reset: not waited out
    discord    one bucket for each kind of call, named by the answer; reset-after is exact
               where reset is not; ``global`` stops everything, ``shared`` is nobody's fault

Source: docs.github.com, "rate-limits-for-the-rest-api"; docs.gitlab.com, "rate_limits";
docs.docker.com, "docker-hub/usage"; discord-api-docs, "rate-limits".
"""

from __future__ import annotations

from ..core.profile import Refill, ServerProfile
from ..core.signals import Reason
from .dialect import Dialect, Field
from .durations import Unit
from .signs import signs

_OF_A_MINUTE = (
    "search",
    "code_search",
    "source_import",
    "dependency_snapshots",
    "dependency_sbom",
    "code_scanning_autofix",
)

GITHUB = Dialect(
    **signs("github"),
    profile=ServerProfile(
        pays={"requests": "requests"},
        default_window_s=3_600.0,
        refill=Refill.WINDOW,
        grain_s=1.0,
    ),
    numbers=Unit.EPOCH_SECONDS,
    windows={"requests": 3_600.0, **dict.fromkeys(_OF_A_MINUTE, 60.0)},
    sentences=(
        (r"\bsecondary rate limit\b|\babuse detection\b|\bAPI rate limit exceeded\b", Reason.RATE_LIMITED),
        (r"\bhave exceeded a\b.{0,60}\brate limit\b|\brate limit exceeded\b", Reason.RATE_LIMITED),
    ),
    forbidden_is_limit=True,
    least_wait_s=60.0,
)

GITLAB = Dialect(
    **signs("gitlab"),
    profile=ServerProfile(
        pays={"requests": "requests"},
        default_window_s=60.0,
        refill=Refill.WINDOW,
        grain_s=1.0,
    ),
    names={"ratelimit-resettime": Field.RESET, "ratelimit-observed": Field.USED},
    numbers=Unit.EPOCH_SECONDS,
    forbidden_is_limit=False,
)

DOCKER = Dialect(
    **signs("docker"),
    profile=ServerProfile(
        pays={"requests": "requests"},
        default_window_s=21_600.0,
        refill=Refill.WINDOW,
        grain_s=1.0,
    ),
    names={"docker-ratelimit-source": Field.IGNORED},
    codes={"toomanyrequests": Reason.RATE_LIMITED, "denied": Reason.AUTH},
    forbidden_is_limit=False,
)

DISCORD = Dialect(
    **signs("discord"),
    profile=ServerProfile(
        pays={"requests": "requests"},
        default_window_s=1.0,
        refill=Refill.WINDOW,
        grain_s=0.01,
    ),
    numbers=Unit.EPOCH_SECONDS,
    forbidden_is_limit=False,
)
