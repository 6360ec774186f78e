"""Django REST framework: a throttle that asks the limiter once the framework knows the user, and its refusals.

Imported only by projects that use the framework; the rules that apply are those of `ZAE_LIMITER`.
"""

import copy
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from rest_framework.exceptions import Throttled
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle
from rest_framework.views import exception_handler as usual_answer
from rest_framework.views import set_rollback

from zae_limiter_django.facts import through
from zae_limiter_django.guard import Guard
from zae_limiter_django.limits import limits_of
from zae_limiter_django.responses import RefusedResponse
from zae_limiter_http import Rule, placed

MATCH: Final = "throttle:"


class ZaeThrottle(BaseThrottle):
    """Charges the rules whose `match` is `throttle:` and a glob of the view's `throttle_scope`, or of `default`.

    Where there is none, the framework's own `DEFAULT_THROTTLE_RATES` say the limits: of the scope, or of `user` and
    `anon`. `ZaeLimiterMiddleware` writes the header fields and ends the lease, so it must be installed.
    """

    def __init__(self) -> None:
        self._seconds: int | None = None

    def allow_request(self, request: Any, view: Any) -> bool:
        """Whether the request may go on; called once a request, after authentication."""
        limits = limits_of(request)
        if limits is None:
            raise ImproperlyConfigured(
                "ZaeThrottle needs 'zae_limiter_django.ZaeLimiterMiddleware' in MIDDLEWARE, which ends what it begins"
            )
        guard = limits._guard
        through(limits._facts, request, view)
        rules = _rules(guard, scope_of(view), request)
        refusal = guard.blocking(guard.enter_further(limits, rules))
        self._seconds = None if refusal is None else refusal.wait_seconds
        return refusal is None

    def wait(self) -> float | None:
        """Seconds until the request could be granted; None where it never can."""
        return self._seconds


def scope_of(view: Any) -> str:
    """The scope of a view, or of its class."""
    return str(getattr(view, "throttle_scope", None) or "default")


def _rules(guard: Guard, scope: str, request: Any) -> Sequence[Rule]:
    """The rules of a scope, which has been looked at by then."""
    found = rules_about(guard.settings.rules, scope)
    if found:
        return [for_all(rule) for rule in found]
    name = scope if scope in _rates() else "user" if request.user and request.user.is_authenticated else "anon"
    rules = usual_rules(name)
    if rules is None:
        raise ImproperlyConfigured(
            f"ZaeThrottle has no limits for the scope {scope!r}: add a rule with match='{MATCH}{scope}' to ZAE_LIMITER,"
            " or a rate to DEFAULT_THROTTLE_RATES"
        )
    return rules


def rules_about(rules: Sequence[Rule], scope: str) -> list[Rule]:
    """The rules whose match is `throttle:` and a glob of a scope."""
    return [rule for rule in rules if isinstance(rule.match, str) and _is_about(rule.match, scope)]


def usual_rules(name: str) -> Sequence[Rule] | None:
    """What the framework's own rates say for a name: a rule, or none for a rate of None; None for no such name."""
    if name not in _rates():
        return None
    rate = _rates()[name]
    if rate is None:
        return []
    return [placed(str(rate), {"key": "auto", "name": name}, place=f"DEFAULT_THROTTLE_RATES.{name}")]


def _rates() -> Mapping[str, Any]:
    rates: Mapping[str, Any] = api_settings.DEFAULT_THROTTLE_RATES
    return rates


def _is_about(match: str, scope: str) -> bool:
    return match.startswith(MATCH) and fnmatchcase(scope, match.removeprefix(MATCH))


def for_all(rule: Rule) -> Rule:
    """A rule of a scope as one that matches every request."""
    found = copy.copy(rule)
    found.match = "*"
    return found


def exception_handler(exc: Exception, context: dict[str, Any]) -> Any:
    """The limiter's own answer to a refusal, problem+json or a page; the framework's to anything else.

    For `EXCEPTION_HANDLER` of `REST_FRAMEWORK`.
    """
    limits = limits_of(context["request"])
    if limits is not None:
        if isinstance(exc, Throttled) and limits.refusal is not None:
            set_rollback()
            return RefusedResponse(limits.refusal)
        refused = limits._guard.answer(limits, exc)
        if refused is not None:
            set_rollback()
            return refused
    return usual_answer(exc, context)
