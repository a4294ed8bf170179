"""The operator's content policy: what follows from each category, for everybody and for single tenants.

It is a TOML file, and an empty one says what no file says: every category is flagged and blocked at the scores that the
weights bring along. The whole of it:

    appeal = "Write to safety@example.com and name the refusal."
    exceptions = ["bloody mary"]        # phrases that are read as if they were not there

    [categories.violence]
    action = "flag"                     # the most that is done: allow, flag or block
    flag = 0.4                          # scores from which it is done, 0 to 1
    block = 0.8
    terms = ["red wedding"]             # words and phrases that are always of this category

    [tenants.film-school.categories.violence]
    action = "allow"

A tenant's table replaces the fields it names, and nothing else. Sexual content with minors is always blocked, and there
is nothing to set about it.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.prompt_verdict import SEVERITY, Category, PolicyDecision
from heliograph.moderation.classifier import Threshold

PUBLIC_FIGURES_DEFAULT = Threshold(flag=0.5, block=0.8)
"""For the harm that a public figure is named together with: its score is 0.5 where that harm begins to be flagged."""

ADJUSTABLE = tuple(category for category in Category if category is not Category.SEXUAL_MINORS)
TERMS_MAX = 10_000
"""Most terms of one category, and most exceptions."""

APPEAL_CHARS_MAX = 500
APPEAL = "If it was fine, POST /v1/appeals with the prompt and a reason: a person looks at it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What follows from one category; scores of None are those of the weights."""

    action: PolicyDecision = PolicyDecision.BLOCK
    flag: float | None = None
    block: float | None = None

    def decision(self, score: float, usual: Threshold) -> PolicyDecision:
        """What a score leads to."""
        block = usual.block if self.block is None else self.block
        flag = min(block, usual.flag) if self.flag is None else self.flag
        if score >= block:
            wanted = PolicyDecision.BLOCK
        elif score >= flag:
            wanted = PolicyDecision.FLAG
        else:
            wanted = PolicyDecision.ALLOW
        return min(wanted, self.action, key=SEVERITY.__getitem__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentPolicy:
    """The policy in force. `terms` are words and phrases an operator added, `exceptions` what is passed over."""

    rules: Mapping[Category, Rule] = field(default_factory=dict[Category, Rule])
    tenants: Mapping[str, Mapping[Category, Rule]] = field(default_factory=dict[str, Mapping[Category, Rule]])
    terms: Mapping[Category, tuple[str, ...]] = field(default_factory=dict[Category, tuple[str, ...]])
    exceptions: tuple[str, ...] = ()
    appeal: str = APPEAL

    def rule(self, category: Category, tenant_id: str | None) -> Rule:
        """What follows from a category for a tenant; None: for nobody in particular."""
        own = self.tenants.get(tenant_id or "", {}).get(category)
        return own or self.rules.get(category) or Rule()

    def decide(
        self, scores: Mapping[Category, float], usual: Mapping[Category, Threshold], *, tenant_id: str | None
    ) -> tuple[PolicyDecision, Category | None]:
        """The gravest decision and the category with the highest score that leads to it."""
        if Category.SEXUAL_MINORS in scores:
            return PolicyDecision.BLOCK, Category.SEXUAL_MINORS
        found: list[tuple[int, float, Category, PolicyDecision]] = []
        for category, score in scores.items():
            decision = self.rule(category, tenant_id).decision(score, usual[category])
            found.append((SEVERITY[decision], score, category, decision))
        if not found:
            return PolicyDecision.ALLOW, None
        _, _, category, decision = max(found, key=lambda each: each[:2])
        return decision, None if decision is PolicyDecision.ALLOW else category


def parse_policy(text: str, *, origin: str) -> ContentPolicy:
    """The policy in a file. Raises `InvalidRequest` that names the file, the field and the fix."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"{origin} is not valid TOML: {error}", param="moderation.policy") from error
    reader = _Reader(origin)
    reader.known(document, ("appeal", "exceptions", "categories", "tenants"), "")
    rules, terms = reader.categories(document.get("categories", {}), "categories", {})
    tenants: dict[str, Mapping[Category, Rule]] = {}
    for name, table in reader.table(document.get("tenants", {}), "tenants").items():
        own = reader.table(table, f"tenants.{name}")
        reader.known(own, ("categories",), f"tenants.{name}")
        path = f"tenants.{name}.categories"
        tenants[name], more = reader.categories(own.get("categories", {}), path, rules)
        if more:
            raise reader.wrong(f"{path}.{next(iter(more))}.terms", "is for everybody: put it under [categories]")
    return ContentPolicy(
        rules=rules,
        tenants=tenants,
        terms=terms,
        exceptions=reader.phrases(document.get("exceptions", []), "exceptions"),
        appeal=reader.appeal(document.get("appeal", APPEAL)),
    )


class _Reader:
    """Checks the values of one file."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def wrong(self, path: str, message: str) -> InvalidRequest:
        return InvalidRequest(f"{self._origin}: {path} {message}.", param=path, code="invalid_policy")

    def known(self, table: Mapping[str, object], names: Sequence[str], path: str) -> None:
        for name in table:
            if name not in names:
                whole = f"{path}.{name}" if path else name
                raise self.wrong(whole, f"is not known; there are {', '.join(names)}")

    def table(self, value: object, path: str) -> Mapping[str, object]:
        if not isinstance(value, dict):
            raise self.wrong(path, "must be a table")
        return cast("dict[str, object]", value)

    def categories(
        self, value: object, path: str, base: Mapping[Category, Rule]
    ) -> tuple[dict[Category, Rule], dict[Category, tuple[str, ...]]]:
        rules: dict[Category, Rule] = {}
        terms: dict[Category, tuple[str, ...]] = {}
        for name, each in self.table(value, path).items():
            where = f"{path}.{name}"
            if name == Category.SEXUAL_MINORS:
                raise self.wrong(where, "cannot be set: such prompts are always blocked")
            if name not in ADJUSTABLE:
                raise self.wrong(where, f"is no category; there are {', '.join(ADJUSTABLE)}")
            category, table = Category(name), self.table(each, where)
            self.known(table, ("action", "flag", "block", "terms"), where)
            rules[category] = self._rule(table, where, base.get(category, Rule()))
            if "terms" in table:
                terms[category] = self.phrases(table["terms"], f"{where}.terms")
        return rules, terms

    def _rule(self, table: Mapping[str, object], path: str, base: Rule) -> Rule:
        action = table.get("action", base.action)
        if action not in tuple(PolicyDecision):
            raise self.wrong(f"{path}.action", f"must be {', '.join(PolicyDecision)}, not {action!r}")
        rule = replace(
            base,
            action=PolicyDecision(action),
            flag=self._score(table.get("flag", base.flag), f"{path}.flag"),
            block=self._score(table.get("block", base.block), f"{path}.block"),
        )
        if rule.flag is not None and rule.block is not None and rule.flag > rule.block:
            raise self.wrong(f"{path}.flag", f"must not be above block, which is {rule.block:g}")
        return rule

    def _score(self, value: object, path: str) -> float | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise self.wrong(path, f"must be a number above 0 and at most 1, not {value!r}")
        return float(value)

    def phrases(self, value: object, path: str) -> tuple[str, ...]:
        if not isinstance(value, list) or len(cast("list[object]", value)) > TERMS_MAX:
            raise self.wrong(path, f"must be a list of at most {TERMS_MAX:,} phrases")
        found: list[str] = []
        for each in cast("list[object]", value):
            if not isinstance(each, str) or not any(letter.isalnum() for letter in each):
                raise self.wrong(path, f"must hold words, not {each!r}")
            found.append(each)
        return tuple(found)

    def appeal(self, value: object) -> str:
        if not isinstance(value, str) or not value.strip() or len(value) > APPEAL_CHARS_MAX:
            raise self.wrong("appeal", f"must be a text of at most {APPEAL_CHARS_MAX} characters")
        return value.strip()
