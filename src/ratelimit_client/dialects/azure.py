"""
Azure OpenAI and Azure AI Foundry.

Law of this file: a bare reset counts seconds in some regions and milliseconds in
others, and only the level tells which. With ``expected = used x renewal / limit``,

    value > renewal, or value / 1000 is nearer to expected than value     milliseconds
    else                                                                  seconds, floored

-1, -1, 0 is "unknown". "Please retry after 86400 seconds" means that the one call is
larger than the deployment's whole minute.

Theory: the same service has answered with ``500`` for half a second (East US 2) and with
``1`` for more than one (West Europe). Up to 2025 it sent ``remaining`` alone; since 2026 also
limit, reset and ``renewalperiod``. ``remaining`` may be a cached number for minutes. Requests
a minute are enforced over one or ten seconds, which no header shows. Quotas of the API
management in front of it come with a 403.

Source: recorded answers of four regions; learn.microsoft.com, "how-to/quota"; openai-python#937,
openai-dotnet#838, azure-sdk-for-net#44222, vanderschaarlab/climb#1.
"""

from __future__ import annotations

from ..core.profile import Refill, ServerProfile
from ..core.signals import Reason
from .dialect import Dialect, Field
from .durations import Unit
from .signs import signs

AZURE = Dialect(
    **signs("azure"),
    profile=ServerProfile(
        pays={"requests": "requests", "tokens": "tokens"},
        default_window_s=60.0,
        refill=Refill.CONTINUOUS,
        grain_s=1.0,
    ),
    names={"x-ratelimit-key": Field.GROUP, "x-ratelimit-abusepenalty-active": Field.IGNORED},
    numbers=Unit.SECONDS_OR_MILLISECONDS,
    codes={
        "deploymentnotfound": Reason.MODEL_NOT_FOUND,
        "unknown_model": Reason.MODEL_NOT_FOUND,
        "no_capacity": Reason.OVERLOADED,
        "quotaexceeded": Reason.QUOTA_EXHAUSTED,
    },
    sentences=(
        (r"\bout of call volume quota\b|\bout of bandwidth quota\b", Reason.QUOTA_EXHAUSTED),
        (r"\bexceeded your current quota\b", Reason.QUOTA_EXHAUSTED),
    ),
    forbidden_is_limit=False,
    too_large_wait_s=86_400.0,
)
