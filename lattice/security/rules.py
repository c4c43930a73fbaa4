"""The rules that a host is given in its security file. Pure: the first rule that fits a question decides it.

    [policy]
    default = "allow"                            # what no rule decides: "allow" or "deny"

    [[policy.rules]]
    effect = "deny"
    name = "games do not bill"
    kinds = ["call"]                             # call, start_actor, start_provider; without it every kind
    from = { application = "games", labels = { cloud = "east" } }   # who calls
    to = { name = "billing-*" }                  # who is called, or started
    contract = "wasmcloud:keyvalue"
    operations = ["KeyValue.Set", "KeyValue.Delete*"]
    message = "ask the billing team"

    [policy.service]                             # asked besides, over NATS
    subject = "lattice.policy"

docs/guides/policy.md explains all of it.
"""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

import msgspec

from lattice import errors
from lattice.security.globs import Glob, any_matches, glob
from lattice.security.policy import PERMITTED, Decision, Kind, Party, Question

RULES_MAX = 1_000
"""Each decision that is not remembered may look at all of them: about 0.2 us for one that does not fit."""
PATTERNS_MAX = 100
"""In one list of a rule."""
PATTERN_CHARS_MAX = 256
KINDS: tuple[Kind, ...] = get_args(Kind)
SUBJECT = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")
REMEDY = "docs/guides/policy.md says what a policy may hold"
SERVICE_MS_MAX, SERVICE_CACHE_S_MAX = 60_000, 86_400
"""A call waits for the service no longer than its own deadline; the cache is the time in which a changed mind is not
noticed."""


class Selector(msgspec.Struct, frozen=True):
    """Fits a party when everything fits that is given. `fields` are names of the party's texts, `lists` of its lists,
    of which one item has to fit."""

    fields: tuple[tuple[str, tuple[Glob, ...]], ...] = ()
    lists: tuple[tuple[str, tuple[Glob, ...]], ...] = ()
    labels: tuple[tuple[str, tuple[Glob, ...]], ...] = ()

    @property
    def open(self) -> bool:
        """Whether it fits everybody."""
        return not (self.fields or self.lists or self.labels)

    def fits(self, party: Party) -> bool:
        for name, globs in self.fields:
            if not any_matches(globs, getattr(party, name)):
                return False
        for name, globs in self.lists:
            if not any(any_matches(globs, item) for item in getattr(party, name) or ("",)):
                return False
        return not self.labels or all(any_matches(globs, party.labels.get(name, "")) for name, globs in self.labels)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    permit: bool
    kinds: tuple[Kind, ...] = KINDS
    origin: Selector = Selector()
    target: Selector = Selector()
    contract: tuple[Glob, ...] = ()
    operations: tuple[Glob, ...] = ()
    message: str = ""

    @property
    def open(self) -> bool:
        """Whether it fits every question of its kinds."""
        return self.origin.open and self.target.open and not self.contract and not self.operations


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A policy service on a subject of NATS, how long it is waited for, and how long its answers hold."""

    subject: str
    timeout_s: float = 1.0
    cache_s: float = 60.0


class PolicySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a host may do besides what claims and links say. `permit` is for what no rule decides."""

    permit: bool = True
    rules: tuple[Rule, ...] = ()
    service: ServiceSettings | None = None


class Rules:
    """A `Policy` that answers at once."""

    def __init__(self, settings: PolicySettings) -> None:
        self._rules = {kind: [_Ready(rule) for rule in settings.rules if kind in rule.kinds] for kind in KINDS}
        self._permit = settings.permit

    def decide(self, question: Question) -> Decision:
        any_operation = True
        for ready in self._rules[question.kind]:
            # Only rules of calls say who calls, and calls have an origin.
            if ready.origin is not None and question.origin is not None and not ready.origin.fits(question.origin):
                continue
            if ready.target is not None and not ready.target.fits(question.target):
                continue
            rule = ready.rule
            if rule.contract and not any_matches(rule.contract, question.contract):
                continue
            if rule.operations:
                any_operation = False
                if not any_matches(rule.operations, question.operation):
                    continue
            return Decision(permitted=rule.permit, rule=rule.name, message=rule.message, any_operation=any_operation)
        if self._permit and any_operation:
            return PERMITTED
        decided_by = "" if self._permit else "the default"
        return Decision(permitted=self._permit, rule=decided_by, any_operation=any_operation)


class _Ready:
    """A rule without what need not be asked: most look at one of the two ends."""

    __slots__ = ("origin", "rule", "target")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.origin = None if rule.origin.open else rule.origin
        self.target = None if rule.target.open else rule.target


# The file's form.

_Patterns = str | list[str]


class _Selector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: _Patterns = []
    kind: _Patterns = []
    name: _Patterns = []
    application: _Patterns = []
    issuer: _Patterns = []
    image: _Patterns = []
    capability: _Patterns = []
    tag: _Patterns = []
    labels: dict[str, _Patterns] = {}


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    effect: Literal["allow", "deny"]
    name: str = ""
    kinds: list[Kind] = []
    from_: _Selector | None = msgspec.field(default=None, name="from")
    to: _Selector = _Selector()
    contract: _Patterns = []
    operations: _Patterns = []
    message: str = ""


class _Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    subject: str
    timeout_ms: int = 1_000
    cache_s: float = 60.0


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `policy` of a security file. Rules are read one by one, so that a mistake names its own."""

    default: Literal["allow", "deny"] = "allow"
    rules: list[dict[str, Any]] = []
    service: _Service | None = None


def read(table: Table) -> PolicySettings:
    """Raises `errors.ConfigError`, which names the place in the file; also for a rule that no question can reach."""
    if len(table.rules) > RULES_MAX:
        raise errors.ConfigError(f"policy.rules: {len(table.rules)} rules; at most {RULES_MAX} are read")
    rules = tuple(_rule(f"policy.rules[{number}]", number, given) for number, given in enumerate(table.rules))
    names: set[str] = set()
    decided: dict[Kind, str] = {}
    for number, rule in enumerate(rules):
        place = f"policy.rules[{number}]"
        if rule.name in names:
            raise errors.ConfigError(f"{place}: a second rule is called {rule.name!r}")
        names.add(rule.name)
        if all(kind in decided for kind in rule.kinds):
            raise errors.ConfigError(
                f"{place}: {rule.name!r} is never reached: {decided[rule.kinds[0]]!r} before it fits everything",
                remedy="the first rule that fits decides; put the general one last",
            )
        if rule.open:
            decided.update(dict.fromkeys(rule.kinds, rule.name))
    return PolicySettings(permit=table.default == "allow", rules=rules, service=_service(table.service))


def _rule(place: str, number: int, given: dict[str, Any]) -> Rule:
    try:
        found = msgspec.convert(given, _Rule)
    except msgspec.ValidationError as error:
        where = str(error).replace("`$.", f"`{place}.").replace("`$`", f"`{place}`")
        raise errors.ConfigError(where if place in where else f"{where} - at `{place}`", remedy=REMEDY) from error
    of_calls = found.from_ is not None or found.operations not in ([], ())
    kinds = tuple(dict.fromkeys(found.kinds)) or (("call",) if of_calls else KINDS)
    if of_calls and set(kinds) != {"call"}:
        raise errors.ConfigError(
            f"{place}: from and operations are of calls; a start has neither",
            remedy='write kinds = ["call"], and another rule for starts',
        )
    if found.contract not in ([], ()) and kinds == ("start_actor",):
        raise errors.ConfigError(f"{place}: an actor that starts has no contract", remedy="to = { capability = … }")
    return Rule(
        name=found.name or f"rule {number + 1}",
        permit=found.effect == "allow",
        kinds=kinds,
        origin=_selector(f"{place}.from", found.from_ or _Selector()),
        target=_selector(f"{place}.to", found.to),
        contract=_globs(f"{place}.contract", found.contract),
        operations=_globs(f"{place}.operations", found.operations),
        message=found.message,
    )


_LISTS = {"capability": "caps", "tag": "tags"}


def _selector(place: str, given: _Selector) -> Selector:
    found = {
        name: _globs(f"{place}.{name}", getattr(given, name))
        for name in ("key", "kind", "name", "application", "issuer", "image", *_LISTS)
    }
    for name, patterns in given.labels.items():
        if patterns == []:
            raise errors.ConfigError(f"{place}.labels.{name}: an empty list fits no host")
    return Selector(
        fields=tuple((name, globs) for name, globs in found.items() if globs and name not in _LISTS),
        lists=tuple((_LISTS[name], globs) for name, globs in found.items() if globs and name in _LISTS),
        labels=tuple((name, _globs(f"{place}.labels.{name}", given.labels[name])) for name in sorted(given.labels)),
    )


def _globs(place: str, given: _Patterns) -> tuple[Glob, ...]:
    patterns = [given] if isinstance(given, str) else given
    if len(patterns) > PATTERNS_MAX:
        raise errors.ConfigError(f"{place}: {len(patterns)} patterns; at most {PATTERNS_MAX} are read")
    for pattern in patterns:
        if len(pattern) > PATTERN_CHARS_MAX:
            raise errors.ConfigError(f"{place}: a pattern of {len(pattern)} letters; at most {PATTERN_CHARS_MAX}")
    return tuple(glob(pattern) for pattern in patterns)


def _service(given: _Service | None) -> ServiceSettings | None:
    if given is None:
        return None
    if not SUBJECT.fullmatch(given.subject):
        raise errors.ConfigError(
            f"policy.service.subject: {given.subject!r} is no subject that one can send to",
            remedy="words between dots, without * and >",
        )
    if not 0 < given.timeout_ms <= SERVICE_MS_MAX:
        raise errors.ConfigError(f"policy.service.timeout_ms: has to be more than 0 and at most {SERVICE_MS_MAX}")
    if not 0 <= given.cache_s <= SERVICE_CACHE_S_MAX:
        raise errors.ConfigError(f"policy.service.cache_s: has to be at least 0 and at most {SERVICE_CACHE_S_MAX}")
    return ServiceSettings(subject=given.subject, timeout_s=given.timeout_ms / 1000, cache_s=given.cache_s)
