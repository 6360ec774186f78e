"""What is wrong with an application, numbered, each with its remedy; pure functions of what a reader has found."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from zae_limiter_http.doctor.coverage import key_text, may_match, sample_path
from zae_limiter_http.doctor.disks import network_disk
from zae_limiter_http.doctor.report import Finding, RouteReport
from zae_limiter_http.doctor.subject import FoundRoute, Subject
from zae_limiter_http.rule import Rule
from zae_limiter_http.settings import Settings

# What a client writes into a request, by the names that frameworks give it.
_CHOSEN_BY_CLIENTS: Final = frozenset(
    {"headers", "query_params", "query", "args", "cookies", "COOKIES", "GET", "META", "values", "form", "get_json"}
)
_USER_KEYS: Final = frozenset({"user", "user_or_ip"})


def findings(
    subject: Subject,
    routes: Sequence[RouteReport],
    *,
    workers: int | None,
    disk_of: Callable[[str], str | None] = network_disk,
) -> Iterator[Finding]:
    """Everything that is wrong, in the order of its numbers; `disk_of` tells the network disk under a store."""
    settings = subject.settings
    if subject.mistakes:
        for mistake in subject.mistakes:
            yield Finding("D01", f"The configuration cannot work: {mistake}", "Correct what is named.")
        return
    if settings is None:
        yield Finding(
            "D02", f"No limiter stands in front of this {subject.framework} application.", "Install it; see its page."
        )
        return
    rules = [*settings.rules, *(rule for route in subject.routes for rule in route.rules)]
    yield from _order(subject, rules)
    yield from _proxies(subject, settings)
    yield from _keys(settings, rules)
    yield from _store(settings, workers=workers, is_debugged=subject.is_debugged)
    yield from _disk(settings, disk_of)
    yield from _uncovered(routes)
    yield from _idle(settings, subject.routes)
    yield from _at_odds(routes)


def _order(subject: Subject, rules: Sequence[Rule]) -> Iterator[Finding]:
    for name in (name for name in subject.inside if "cors" in name.lower()):
        yield Finding(
            "D03",
            f"The limiter stands outside {name}: a refusal has no CORS headers, and pages cannot read it.",
            f"Put {name} outside of the limiter.",
        )
    # Fields that are written outside of a cache are each client's own; what a cache answers is then free.
    written = next(
        (index for index, name in enumerate(subject.outside) if "HeaderMiddleware" in name), len(subject.outside)
    )
    for name in (name for name in subject.outside[:written] if "cache" in name.lower()):
        yield Finding(
            "D04",
            f"The limiter stands behind {name}: hits are not counted, and one client's fields are replayed to others.",
            f"Put the limiter outside of {name}, or write its fields outside of it.",
        )
    is_by_user = any(_has_user(rule.key) for rule in rules if not rule.exempt)
    for name in (name for name in subject.inside if "auth" in name.lower()):
        if is_by_user:
            yield Finding(
                "D05",
                f"A rule has users as its key, and the limiter stands outside {name}: all callers are strangers to it.",
                f"Put {name} outside of the limiter.",
            )


def _has_user(key: Any) -> bool:
    if isinstance(key, str):
        return key in _USER_KEYS
    return isinstance(key, Sequence) and any(_has_user(each) for each in key)


def _proxies(subject: Subject, settings: Settings) -> Iterator[Finding]:
    counted = settings.proxy is not None and settings.proxy.trusted_proxies_count > 0
    for name in (name for name in subject.outside if "proxy" in name.lower()):
        if counted:
            yield Finding(
                "D06",
                f"{name} has replaced the address already, and proxy.trusted_proxies_count counts the proxies again:"
                " clients choose their own address.",
                f"Remove {name}, or set proxy.trusted_proxies to the networks of your proxies.",
            )
    for text in settings.proxy.trusted_proxies if settings.proxy else ():
        if text.endswith("/0"):
            yield Finding(
                "D06",
                f"proxy.trusted_proxies trusts every address with {text!r}: clients choose their own address.",
                "Name the networks of your own proxies.",
            )


def _keys(settings: Settings, rules: Sequence[Rule]) -> Iterator[Finding]:
    has_header = False
    for rule in dict.fromkeys(rules):
        for kind in _kinds(rule.key):
            if callable(kind) and (read := _names(kind) & _CHOSEN_BY_CLIENTS):
                yield Finding(
                    "D07",
                    f"The key {key_text(kind)} reads {', '.join(sorted(read))}, which any client chooses:"
                    " with each new value comes a new bucket.",
                    'Use a value that was verified, "header:<name>" with validated=, or charge "ip" in a rule besides.',
                )
            has_header = has_header or (isinstance(kind, str) and kind.startswith("header:"))
    if has_header and settings.hash_secret is None:
        yield Finding(
            "D08",
            "A rule has a header as its key, and no hash_secret is set: stored keys can be guessed from their digests.",
            "Set hash_secret to a secret of its own.",
            "note",
        )


def _kinds(key: Any) -> Iterator[Any]:
    if isinstance(key, str) or callable(key):
        yield key
    else:
        for each in key:
            yield from _kinds(each)


def _names(function: Any) -> set[str]:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return set(code.co_names) if code is not None else set()


def _store(settings: Settings, *, workers: int | None, is_debugged: bool) -> Iterator[Finding]:
    store = settings.store
    if store is None:
        if settings.limiter is None and not is_debugged:
            yield Finding(
                "D09", "No store is named: only an application in development runs so.", "Set store to an address."
            )
        return
    if store.startswith("memory:"):
        several = workers is not None and workers > 1
        yield Finding(
            "D10",
            "The store is the memory of one process"
            + (f": with {workers} workers {workers} times the limit is admitted." if several else "."),
            'Set store to "embedded:///var/lib/app/limits.db", or to a store that machines share.',
            "wrong" if several else "note",
        )


def _disk(settings: Settings, disk_of: Callable[[str], str | None]) -> Iterator[Finding]:
    disk = None if settings.store is None else disk_of(settings.store)
    if disk is not None:
        yield Finding(
            "D11",
            f"The store lies on a network disk ({disk}), where SQLite's write-ahead log does not work.",
            "Put the file on a disk of this machine, or use a store that machines share.",
        )


def _uncovered(routes: Sequence[RouteReport]) -> Iterator[Finding]:
    bare = [route for route in routes if route.is_own and not route.is_covered]
    if bare:
        shown = ", ".join(f"{'/'.join(route.methods)} {route.path}" for route in bare[:5])
        more = f", and {len(bare) - 5} more" if len(bare) > 5 else ""
        yield Finding(
            "D12",
            f"No rule covers {shown}{more}.",
            "Add a rule that matches them, or exempt them with Rule(..., exempt=True).",
        )


def _idle(settings: Settings, routes: Sequence[FoundRoute]) -> Iterator[Finding]:
    for index, rule in enumerate(settings.rules):
        if callable(rule.match) or rule.match == "*" or not routes:
            continue
        if not any(_touches(rule, route) for route in routes):
            yield Finding(
                "D13",
                f"rules[{index}] matches no route: {rule.match!r}.",
                "Correct its match, or remove the rule; the table shows the paths that are there.",
                "note",
            )


def _touches(rule: Rule, route: FoundRoute) -> bool:
    return any(may_match(rule, route, sample_path(route.template), method) for method in route.methods)


def _at_odds(routes: Sequence[RouteReport]) -> Iterator[Finding]:
    for route in routes:
        for text in route.at_odds:
            yield Finding(
                "D14",
                f"On {'/'.join(route.methods)} {route.path} {text}: they count in one bucket.",
                "Give one of the limits another name, or one of the rules another resource.",
            )
