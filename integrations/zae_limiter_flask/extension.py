"""ZaeLimiter: the limiter of Flask applications; what it knows of one is in `app.extensions["zae_limiter"]`.

It turns a request into facts and a refusal into an HTTP error of Flask; what is charged, answered and written in
headers is decided in `zae_limiter_http`.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any, Final, TypeVar, Unpack
from weakref import WeakKeyDictionary, WeakSet

from flask import Blueprint, Flask, current_app, has_app_context

from zae_limiter import SyncRateLimiter
from zae_limiter.sync_lease import SyncLease
from zae_limiter_flask import marks
from zae_limiter_flask.cli import commands
from zae_limiter_flask.configuration import words_of
from zae_limiter_flask.decorators import ViewLimit
from zae_limiter_flask.facts import refuse_coroutines
from zae_limiter_flask.marks import Mark
from zae_limiter_flask.serving import EXTENSION, Served, visit
from zae_limiter_http import Rule, SettingsError, SyncPassed, placed
from zae_limiter_http.callers import Key
from zae_limiter_http.rule import RuleLimits
from zae_limiter_http.words import SettingWords

T = TypeVar("T")

_MOST_REMEMBERED: Final = 256


class ZaeLimiter:
    """Limits the requests of one or several Flask applications.

    `default` are limits for every request, in one bucket a caller; `key` says who is charged by them and by every
    decorator that names no other. `rules` are further rules, `store` is an address such as
    `embedded:///var/lib/app/limits.db`, `limiter` instead of it a `SyncRateLimiter` made by hand; the other words
    are those of `zae_limiter_http.Settings`. `app.config` goes before them: `ZAE_LIMITER`, a mapping of the same
    words, and before it `ZAE_LIMITER_DEFAULT` and its like.

    Raises `SettingsError` with all mistakes when an application is known: here or in `init_app`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        key: Key = "auto",
        default: RuleLimits | None = None,
        rules: Sequence[Rule | Mapping[str, Any]] = (),
        store: str | None = None,
        limiter: Any = None,
        **settings: Unpack[SettingWords],
    ) -> None:
        self._words: dict[str, Any] = {
            "key": key,
            "default": default,
            "rules": rules,
            "store": store,
            "limiter": limiter,
            **settings,
        }
        # Weakly: a view may hold its application, which goes before this does where each test makes one. What was
        # marked for the latest ones is kept all the same, so that it is told when it was put on no route.
        self._marked: WeakKeyDictionary[Any, list[Mark]] = WeakKeyDictionary()
        self._kept: tuple[list[Any], list[Any]] = [], []
        self._taken: WeakSet[Any] = WeakSet()
        self.changes = 0
        self._rules: dict[Any, dict[tuple[Any, str], Rule]] = {}
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Limit the requests of an application; once for each, before its first request."""
        given: object = app
        if not isinstance(given, Flask):
            what = type(given).__name__
            raise TypeError(f"the application comes first, got {what}; who is charged says key=, as in key='ip'")
        if EXTENSION in app.extensions:
            raise RuntimeError(f"the application {app.name!r} has a limiter already; call init_app once for each")
        served = Served(app, self, words_of(app, self._words))
        app.extensions[EXTENSION] = served
        self._kept = self._kept[1], []
        served.hang_in(app)
        app.cli.add_command(commands)

    def limit(self, limits: RuleLimits | None = None, **words: Any) -> ViewLimit:
        """A limit for a view, above or below `@route`, for a class of views, or for a block: `with limiter.limit(...)`.

        It takes the words of `Rule` but `match`, and counts for the view alone unless `resource` or `name` says
        otherwise. Raises `SettingsError` with all mistakes.
        """
        if isinstance(limits, FunctionType) and not words:  # perhaps a view, below a decorator without parentheses
            self._taken.add(limits)
        return self._limited("limit", limits, words)

    def shared_limit(self, limits: RuleLimits | None = None, *, resource: str, **words: Any) -> ViewLimit:
        """A limit that all views share on which it is put, under the name of its resource."""
        return self._limited("shared_limit", limits, {"resource": resource, **words})

    def limit_blueprint(self, blueprint: Blueprint, limits: RuleLimits | None = None, **words: Any) -> None:
        """Limit all views of a blueprint together, those of blueprints inside it too."""
        self._limited("limit_blueprint", limits, words)(blueprint)

    def exempt(self, target: T) -> T:
        """Let the requests of a view, a class of views or a blueprint pass uncharged, whatever the rules say."""
        self.mark(target, Mark(self, {"exempt": True}))
        return target

    def _limited(self, place: str, limits: RuleLimits | None, words: Mapping[str, Any]) -> ViewLimit:
        # A block writes its limit where it is entered: the same words come with each request, and are read once.
        signature = _signature((place, limits, words))
        rules = None if signature is None else self._rules.get(signature)
        if rules is None:
            rule = placed(limits, words, place=place)
            refuse_coroutines([f"{place}.{word}" for word in rule.async_words()])
            rules = {}
            if len(self._rules) >= _MOST_REMEMBERED:
                self._rules.clear()
            if signature is not None:
                self._rules[signature] = rules
        return ViewLimit(self, Mark(self, {"limits": limits, **words}, rules))

    def mark(self, target: Any, mark: Mark) -> None:
        """Leave a mark at a view, a class of views or a blueprint."""
        if isinstance(limits := mark.words.get("limits"), FunctionType):
            self._taken.discard(limits)
        if not marks.leave(target, mark):
            return
        self.changes += 1
        with contextlib.suppress(TypeError):  # an object that cannot be a key is merely not looked for by the check
            self._marked.setdefault(target, []).append(mark)
            self._kept[1].append(target)

    def refuse_taken(self, view: Any) -> None:
        """Raise `SettingsError` for a view that was taken for a callable of limits, which were put on nothing."""
        if isinstance(view, FunctionType) and view in self._taken:
            told = f"{view.__qualname__}() was taken for a callable of limits, and has no limit"
            raise SettingsError([f"limit: {told}; write @limiter.limit(...) with parentheses, as in limit('5/minute')"])

    @property
    def marks(self) -> Iterator[tuple[Mark, Any]]:
        """Each mark with what carries it."""
        for target, own in list(self._marked.items()):
            yield from ((mark, target) for mark in own)

    @property
    def limiter(self) -> SyncRateLimiter:
        """The limiter of the current application, to set limits or to charge by hand."""
        return self.served.gate.limiter

    @property
    def served(self) -> Served:
        """What is known of the current application."""
        if not has_app_context():
            raise RuntimeError("no application is current here; call this inside 'with app.app_context()'")
        found = current_app.extensions.get(EXTENSION)
        if not isinstance(found, Served) or found.extension is not self:
            raise RuntimeError("this limiter does not serve the current application; call limiter.init_app(app)")
        return found

    @property
    def current(self) -> SyncPassed:
        """What the limiter said of the current request: its lease, its statuses, whether it was exempt."""
        return visit().current


def _signature(value: Any) -> Any:
    """Words as a key of a dict; None where one of them cannot be told from another by its contents."""
    found = _frozen(value)
    try:
        hash(found)
    except TypeError:
        return None
    return found


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple((name, _frozen(each)) for name, each in value.items())
    # With the type beside it: True is no 1, and "ip" as a text is no list.
    return type(value), tuple(_frozen(each) for each in value) if isinstance(value, (list, tuple)) else value


def current_lease() -> SyncLease:
    """The lease of the current request, or of the innermost `with limiter.limit(...)` around the caller.

    A request that is exempt has a lease that charges nothing. `RuntimeError` outside a request.
    """
    return visit().lease
