"""The system checks: what is wrong with the setting and with the order of middleware, numbered, with hints."""

import contextlib
import difflib
import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Doubt
from django.utils.module_loading import import_string

from zae_limiter_django import conf
from zae_limiter_django.views import every_view, rules_of
from zae_limiter_http import Rule, Settings, SettingsError

TAG: Final = "zae_limiter"

_OURS: Final = "zae_limiter_django.middleware.ZaeLimiterMiddleware"
_HEADERS: Final = "zae_limiter_django.middleware.ZaeLimiterHeaderMiddleware"
# By name: to import it is an error where its application is not installed.
_AUTHENTICATION: Final = "django.contrib.auth.middleware.AuthenticationMiddleware"
_CACHE: Final = "django.middleware.cache.UpdateCacheMiddleware"


def register_all() -> None:
    """Let Django run the checks; called once the applications are loaded."""
    for check in (the_setting, the_order, the_names, the_views):
        checks.register(check, TAG)
    checks.register(for_deployment, TAG, deploy=True)


def _message(kind: Callable[..., CheckMessage], number: str, text: str, hint: str) -> CheckMessage:
    return kind(text, hint=hint, id=f"{TAG}.{number}")


def the_setting(**_: Any) -> list[CheckMessage]:
    """E001, E002, E003, E005: the setting and every mistake in it; W003, W004: what works, but not well."""
    try:
        settings = conf.read()
    except SettingsError as error:
        return [_mistake(mistake) for mistake in error.mistakes]
    return [*_without_a_store(settings), *_doubtful(settings)]


def _without_a_store(settings: Settings) -> Iterator[CheckMessage]:
    if settings.enabled and settings.store is None and settings.limiter is None and not django_settings.DEBUG:
        yield _mistake(f"{conf.SETTING}.store: say where to count; without DEBUG there is no default")


def _mistake(text: str) -> CheckMessage:
    place = text.partition(": ")[0]
    if place == conf.SETTING:
        return _message(Error, "E001", text, 'Write ZAE_LIMITER = {"store": "memory:", "rules": []} in the settings.')
    if "cannot be imported" in text:
        return _message(Error, "E003", text, "Write the dotted path of something that can be imported.")
    if "trusted_proxies and trusted_proxies_count" in text:
        return _message(Error, "E005", text, "Keep trusted_proxies, unless the addresses of your proxies change.")
    if not place.startswith(f"{conf.SETTING}."):
        return _message(Error, "E002", text, "Correct it where it stands: in the environment, or in the file.")
    return _message(
        Error, "E002", text, f"Correct {place}; the page 'Settings' of the reference lists what may stand there."
    )


def _doubtful(settings: Settings) -> Iterator[CheckMessage]:
    if settings.hash_secret is None and any(_is_by_header(rule.key) for rule in settings.rules):
        yield _message(
            Doubt,
            "W003",
            "A rule has a header as its key, and no hash_secret is set.",
            'Set "hash_secret" to a secret of its own, so that stored keys cannot be guessed from their digests.',
        )
    for text in settings.proxy.trusted_proxies if settings.proxy else ():
        if ipaddress.ip_network(text).prefixlen == 0:
            yield _message(
                Doubt,
                "W004",
                f"proxy.trusted_proxies trusts every address with {text!r}: clients choose their own address.",
                "Name the networks of your own proxies.",
            )


def _is_by_header(key: Any) -> bool:
    return _has_kind(key, lambda kind: kind.startswith("header:"))


def _has_kind(key: Any, fits: Callable[[str], bool]) -> bool:
    if isinstance(key, str):
        return fits(key)
    return isinstance(key, Sequence) and any(_has_kind(each, fits) for each in key)


def the_order(**_: Any) -> list[CheckMessage]:
    """E004, W005, W006: where the middleware stands among the others."""
    settings = _settings()
    if settings is None:
        return []
    places = _places()
    ours = places.get(_OURS)
    rules = [*settings.rules, *(rule for found in _marks() for rule in found)]
    if ours is None:
        hint = "Put 'zae_limiter_django.ZaeLimiterMiddleware' into MIDDLEWARE, below AuthenticationMiddleware."
        text = "There are rules, and ZaeLimiterMiddleware is not in MIDDLEWARE: the rules of settings and classes rest."
        return [_message(Doubt, "W006", text, hint)] if rules else []
    return [*_after_authentication(rules, places, ours), *_outside_the_cache(settings, places, ours)]


def _after_authentication(rules: Sequence[Rule], places: Mapping[str, int], ours: int) -> Iterator[CheckMessage]:
    place = places.get(_AUTHENTICATION)
    charged = [rule for rule in rules if not rule.exempt]
    # Without authentication "auto" is the address, as documented; "user" would be it against the words.
    names = ("user", "user_or_ip") if place is None else ("auto", "user", "user_or_ip")
    if (place is None or ours < place) and any(_has_kind(rule.key, lambda kind: kind in names) for rule in charged):
        yield _message(
            Error,
            "E004",
            "A rule has users as its key, and no AuthenticationMiddleware stands above ZaeLimiterMiddleware.",
            "Move ZaeLimiterMiddleware below AuthenticationMiddleware, or use another key.",
        )


def _outside_the_cache(settings: Settings, places: Mapping[str, int], ours: int) -> Iterator[CheckMessage]:
    cache = places.get(_CACHE)
    headers = places.get(_HEADERS)
    if cache is None or ours < cache or not settings.header_style or (headers is not None and headers < cache):
        return
    yield _message(
        Doubt,
        "W005",
        "ZaeLimiterMiddleware stands below UpdateCacheMiddleware: the cache replays one client's fields to others.",
        "Move it above, or put 'zae_limiter_django.ZaeLimiterHeaderMiddleware' first where users are keys.",
    )


def _places() -> dict[str, int]:
    """The place of each middleware, of a subclass under the classes it is made of, too."""
    found: dict[str, int] = {}
    for index, path in enumerate(django_settings.MIDDLEWARE):
        try:
            middleware = import_string(path)
        except ImportError:
            continue  # Django tells this itself
        for kind in getattr(middleware, "__mro__", (middleware,)):
            found.setdefault(f"{kind.__module__}.{kind.__qualname__}", index)
    return found


def _settings() -> Settings | None:
    try:
        return conf.read()
    except SettingsError:
        return None  # told by the check of the setting


def _marks() -> Iterator[Sequence[Rule]]:
    for each in every_view():
        with contextlib.suppress(SettingsError):  # told by the check of the views
            yield rules_of(each.view)


def the_names(**_: Any) -> list[CheckMessage]:
    """E006: rules that match the name of a view, and no view has it."""
    settings = _settings()
    if settings is None:
        return []
    names = [each.name for each in every_view()]
    return [
        _message(
            Error,
            "E006",
            f"ZAE_LIMITER.rules[{index}].match: no URL has the name {rule.match[5:]!r}.",
            f"Known names are {', '.join(_near(rule.match[5:], names)) or 'none'}; write namespace:name.",
        )
        for index, rule in enumerate(settings.rules)
        if isinstance(rule.match, str)
        and rule.match.startswith("view:")
        and not any(fnmatchcase(name, rule.match[5:]) for name in names)
    ]


def _near(name: str, names: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(name, names, 3, 0.4) or sorted(names)[:5]


def the_views(**_: Any) -> list[CheckMessage]:
    """E002: mistakes in the `rate_limits` of a class."""
    found: list[CheckMessage] = []
    for each in every_view():
        try:
            rules_of(each.view)
        except SettingsError as error:
            found += [_mistake(mistake) for mistake in error.mistakes]
    return found


def for_deployment(**_: Any) -> list[CheckMessage]:
    """W001, W002: what is fine in development alone."""
    settings = _settings()
    if settings is None or not settings.enabled or settings.limiter is not None:
        return []
    hint = 'Set "store" to "embedded:///var/lib/app/limits.db", or to a store that machines share.'
    if settings.store is None:
        return [_message(Doubt, "W001", "No store is named: only an application in development runs so.", hint)]
    if settings.store.startswith(conf.MEMORY):
        text = "The store is the memory of one process: with four workers four times the limit is admitted."
        return [_message(Doubt, "W002", text, hint)]
    return []
