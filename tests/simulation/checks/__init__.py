"""The invariants, one class each; see docs/simulation.md for the table."""

from __future__ import annotations

from ..check import Check
from .admission import FirstComeFirstServed, NobodyWaitsInVain, NoOverAdmission
from .calls import AsksOnce, EveryRequestMetered, InTime, ItsOwnAnswer, OneEnd, Owed, SaysHowOften
from .learning import HeadersAreHarmless, NoEndlessPause, OldNewsRaisesNothing
from .ledger import EverySlotOnce, FailuresChargeNothing, WhatWasNotSentComesBack
from .rest import Counted, NoSecrets, NothingLeft
from .retries import NotBeforeItMay, NotTooOften, OnlyProbes, OthersWaitAsWell, WithinTheBudget
from .sharing import NobodyHoldsAnythingAtLast, NoCallSeesTheStore, TogetherWithinTheBudget
from .shown import Shown

ALL: tuple[type[Check], ...] = (
    OneEnd,
    ItsOwnAnswer,
    InTime,
    AsksOnce,
    SaysHowOften,
    EveryRequestMetered,
    Owed,
    NoOverAdmission,
    NobodyWaitsInVain,
    FirstComeFirstServed,
    EverySlotOnce,
    WhatWasNotSentComesBack,
    FailuresChargeNothing,
    NotBeforeItMay,
    OthersWaitAsWell,
    NotTooOften,
    WithinTheBudget,
    OnlyProbes,
    HeadersAreHarmless,
    OldNewsRaisesNothing,
    NoEndlessPause,
    NothingLeft,
    NoSecrets,
    Counted,
    Shown,
    TogetherWithinTheBudget,
    NobodyHoldsAnythingAtLast,
    NoCallSeesTheStore,
)
