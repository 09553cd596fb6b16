"""
What a call will be charged, before it is made.

Laws of this file. A price is a whole number of units, at least 1. A lesson
changes the price of no call it knows of by more than half up or a third down.
Nothing a server says makes a price negative or unbounded.

Theory. Servers charge an estimate of their own at admission and hardly say how
it is made. All the rules seen so far are sums of the same few terms,

    charge  =  a x chars/4  +  b x max_output  +  e x excess  +  t x aside/4  +  p x flat  +  c x calls  +  fixed

where *excess* is what max_output has above chars/4: the text alone is a = 1, the
sum of both is a = b = 1, the larger of both is a = e = 1. One ratio in place of
these terms cannot fit calls with and without max_output: for one of them it is
off by two orders of magnitude. *Aside* is what some servers count like text and
others not at all: tool definitions, schemas. *Flat* are pictures and files at the
price that one server takes for each; others look into them. *Fixed* is what the
caller knows exactly (an array of token ids) and is not learnt; what a call shows
nothing of (a conversation that the server keeps, thoughts) ends up in c.

Evidence is a sum over one or many calls; ``fitting`` makes coefficients of it.
They are the aim; prices walk there in bounded steps, because the first evidence
may be the wrong one. Later on a piece that alone contradicts all others is a slip:
it waits for a second one. A number that the server states itself ("Requested 1210")
counts like eight readings as soon as another one agrees with it.

It starts where OpenAI's document is most cautious, with max_output charged in
full, and tools as well. Since 2025 its servers charge neither; the first answers
bring that down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import attrs

from .fitting import PPM, Coefficients, Evidence, clamp_fit, fits, predict, step

MEMORY = 32
MAX_ENDPOINTS = 64
_QUARTERS = 4  # inside, amounts are quarter units: one character is one

# b, e, t, p, a, c: in the order in which they are asked to explain an error, the least certain first.
_START: Coefficients = (PPM, 0, PPM, PPM, PPM, 8 * PPM)
_LEAST: Coefficients = (0, 0, 0, 0, PPM // 4, 0)
_MOST: Coefficients = (PPM, PPM, 2 * PPM, 64 * PPM, 4 * PPM, 4096 * PPM)

_READ_WEIGHT = 1
_STATED_WEIGHT = 2
_AGREED_WEIGHT = 8
_BEGIN_ROUNDS = 8  # a fit goes on from the one before it, and here nothing is known yet
_SEVERAL = 4  # pieces; before there are so many, each is heeded at once
_ABSURD = 8  # times the most that the bounds allow


@attrs.define(unsafe_hash=True)
class Features:
    """
    What a call's body shows before it is made; they add up. A fact, which nobody changes:
    it is not frozen only because one is made with every call, and that would take twice as long.

    Args:
        chars: characters of the text the server counts.
        max_output: the most tokens the answers may have together.
        fixed: units known exactly (token ids).
        endpoint: the path it goes to, each of which has its own rule; None of a
            sum over several, from which nothing can be learnt.
        excess: quarter units that max_output has above the text, of a sum the
            sum of them; computed unless given.
        aside: characters of what only some servers count (tools, schemas).
        flat: units of what has a flat price (pictures, files), at that price.
        images: pictures, which some limits count by themselves.
    """

    chars: int
    max_output: int = 0
    fixed: int = 0
    endpoint: str | None = ""
    excess: int = attrs.field(kw_only=True)
    aside: int = attrs.field(default=0, kw_only=True)
    flat: int = attrs.field(default=0, kw_only=True)
    images: int = attrs.field(default=0, kw_only=True)

    @excess.default
    def _excess(self) -> int:
        excess = _QUARTERS * self.max_output - self.chars
        return excess if excess > 0 else 0

    def __add__(self, other: Features) -> Features:
        return Features(
            self.chars + other.chars,
            self.max_output + other.max_output,
            self.fixed + other.fixed,
            self.endpoint if self.endpoint == other.endpoint else None,
            excess=self.excess + other.excess,
            aside=self.aside + other.aside,
            flat=self.flat + other.flat,
            images=self.images + other.images,
        )


@attrs.define(eq=False)
class _Rule:
    """How one endpoint charges, as far as we know."""

    now: Coefficients = _START
    """What prices are made of: somewhere between where they were and the aim."""
    aim: Coefficients = _START
    """What the evidence says."""
    evidence: deque[Evidence] = attrs.field(factory=lambda: deque(maxlen=MEMORY))
    lessons: int = 0

    def begin(self, pieces: Sequence[Evidence]) -> None:
        """Before the first lesson: what others were charged. It is the least part of what will be known."""
        for _ in range(_BEGIN_ROUNDS):
            self.aim = clamp_fit(self.aim, pieces, least=_LEAST, most=_MOST)
        self.now = self.aim
        self.evidence.extend(pieces[:_SEVERAL])

    def learn(self, new: Evidence) -> None:
        self.evidence.append(new)
        self.lessons += 1
        # What fits teaches nothing; a server that never quite fits is fitted every fourth time.
        if not fits(self.aim, new) and (self.lessons <= MEMORY or self.lessons % 4 == 0) and not self._alone():
            self.aim = clamp_fit(self.aim, self.evidence, least=_LEAST, most=_MOST)
        if self.now != self.aim:
            self.now = step(self.now, self.aim, self.evidence)

    def _alone(self) -> bool:
        """One piece among several does not fit: a slip, until a second one does not."""
        return len(self.evidence) >= _SEVERAL and sum(not fits(self.aim, piece) for piece in self.evidence) == 1

    def weigh_stated(self, terms: Coefficients, charged: int) -> int:
        """
        What a number that the server stated counts: much, once another is as far from what we think.

        Then the other one counts as much from now on.
        """
        expected = max(1, predict(self.aim, terms))
        for place, piece in enumerate(self.evidence):
            if piece.weight > _READ_WEIGHT:
                # charged : expected, of both, within a quarter
                one, other = charged * max(1, predict(self.aim, piece.terms)), piece.charged * expected
                if abs(one - other) <= max(one, other) // 4:
                    self.evidence[place] = attrs.evolve(piece, weight=_AGREED_WEIGHT)
                    return _AGREED_WEIGHT
        return _STATED_WEIGHT


@attrs.define(eq=False)
class Estimator:
    """Prices for the calls of one key, learnt endpoint by endpoint."""

    version: int = attrs.field(default=0, init=False)
    """Changes whenever a price may have changed."""
    evidences: int = attrs.field(default=0, init=False)
    """How often it learnt what was charged."""
    _rules: dict[str | None, _Rule] = attrs.field(factory=dict, init=False)
    _recent: list[tuple[int, int]] = attrs.field(factory=list, init=False)
    _told: Callable[[str | None], Sequence[Evidence]] | None = attrs.field(default=None, init=False)

    def hear(self, told: Callable[[str | None], Sequence[Evidence]]) -> None:
        """
        Other processes were charged, too: where nothing was learnt of an endpoint, prices begin with their evidence.

        Args:
            told: what they tell of an endpoint.
        """
        self._rules = {endpoint: rule for endpoint, rule in self._rules.items() if rule.lessons}
        self._told = told
        self.version += 1

    def learnt(self, most: int) -> Iterator[tuple[str | None, int, tuple[Evidence, ...]]]:
        """Endpoints of which enough is known, how often it was learnt, and the last *most* pieces of that evidence."""
        for endpoint, rule in self._rules.items():
            if rule.lessons >= _SEVERAL:
                yield endpoint, rule.lessons, tuple(rule.evidence)[-min(most, rule.lessons) :]

    def learn(self, features: Features, calls: int, charged: int, *, stated: bool = False) -> bool:
        """
        So many calls, of these features together, were charged so much.

        The caller keeps from us what others may have spent: it does not call
        while a cut is in force or others use much of the limit.

        Args:
            features: the sum over the calls.
            calls: how many.
            charged: units, all of them together.
            stated: the server itself named the number ("Requested 1210").

        Returns:
            Whether it was evidence. A charge that is not positive, or above what
            any rule could make of these calls, is ignored.
        """
        terms = (
            _QUARTERS * features.max_output,
            features.excess,
            features.aside,
            _QUARTERS * features.flat,
            features.chars,
            _QUARTERS * calls,
        )
        most = predict(_MOST, terms) + _QUARTERS * features.fixed
        if features.endpoint is None or calls < 1 or not 0 < _QUARTERS * charged <= _ABSURD * most:
            return False
        rule = self._rules.get(features.endpoint)
        if rule is None:
            if len(self._rules) >= MAX_ENDPOINTS:
                return False
            rule = self._rules[features.endpoint] = self._begun(features.endpoint) or _Rule()

        self.evidences += 1
        self._recent.append((charged, self.price(features, calls)))
        del self._recent[:-MEMORY]
        learnable = max(0, _QUARTERS * (charged - features.fixed))
        before = rule.now
        rule.learn(Evidence(terms, learnable, rule.weigh_stated(terms, learnable) if stated else _READ_WEIGHT))
        if rule.now != before:
            self.version += 1
        return True

    def _begun(self, endpoint: str | None) -> _Rule | None:
        """A rule that begins with what others tell of the endpoint; None: they tell nothing."""
        pieces = [] if self._told is None else [each for each in self._told(endpoint) if _is_possible(each)]
        if not pieces:
            return None
        rule = _Rule()
        rule.begin(pieces)
        return rule

    @property
    def last(self) -> tuple[int, int]:
        """What the latest evidence says was charged, and what had been expected for it."""
        return self._recent[-1]

    @property
    def ratio(self) -> float | None:
        """Charged over estimated, of the recent evidence; None before there is any."""
        expected = sum(each for _, each in self._recent)
        return sum(charged for charged, _ in self._recent) / expected if expected else None

    @property
    def ratio_ppm(self) -> int:
        """The same in millionths; a million before there is any evidence."""
        ratio = self.ratio
        return PPM if ratio is None else round(ratio * PPM)

    def price(self, features: Features, calls: int = 1) -> int:
        """Units that so many calls, of these features together, are expected to be charged; rounded up."""
        rule = self._rules.get(features.endpoint)
        if rule is None and self._told is not None and len(self._rules) < MAX_ENDPOINTS:
            rule = self._rules[features.endpoint] = self._begun(features.endpoint) or _Rule()
        b, e, t, p, a, c = rule.now if rule is not None else _START
        quarters = a * features.chars + e * features.excess + _QUARTERS * (b * features.max_output + c * calls)
        if features.aside:
            quarters += t * features.aside
        if features.flat:
            quarters += _QUARTERS * p * features.flat
        units = features.fixed - (-quarters // (_QUARTERS * PPM))
        return units if units > 1 else 1

    def __repr__(self) -> str:
        rules = ", ".join(
            f"{endpoint or 'any'}: {a / PPM:.2f} x chars/4 + {b / PPM:.2f} x max_output "
            f"+ {e / PPM:.2f} x excess + {t / PPM:.2f} x aside/4 + {p / PPM:.2f} x flat + {c / PPM:.0f}"
            for endpoint, (b, e, t, p, a, c) in ((endpoint, rule.now) for endpoint, rule in self._rules.items())
        )
        return f"<Estimator {rules or 'nothing learnt'}>"


def _is_possible(piece: Evidence) -> bool:
    """Some rule could have made that charge; beside all its calls' text, the most there can be is in the bounds."""
    return 0 < piece.charged <= _ABSURD * predict(_MOST, piece.terms)
