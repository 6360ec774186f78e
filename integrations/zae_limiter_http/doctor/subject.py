"""What the reader of a framework finds of an application: its limiter, its routes, what stands around it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from zae_limiter_http.rule import Rule
from zae_limiter_http.settings import Settings


@dataclass(frozen=True, slots=True)
class FoundRoute:
    """One route: its template and view by the names that rules know, and the rules that stand at the view.

    A route that the framework has added, such as its documentation, is not the application's own. `throttle_scope`
    is the scope of a throttle inside of the view, which charges the rules of the settings whose match is
    `throttle:` and a glob of it.
    """

    template: str
    methods: tuple[str, ...]
    view: str | None = None
    rules: tuple[Rule, ...] = ()
    is_own: bool = True
    throttle_scope: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """An application as it is put together.

    `settings` are those of its limiter, None where it has none; `mistakes` are those of a configuration that cannot
    work. `outside` and `inside` name the middleware around and behind the limiter, the outermost first.
    """

    framework: str
    settings: Settings | None = None
    mistakes: tuple[str, ...] = ()
    routes: tuple[FoundRoute, ...] = ()
    outside: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    is_debugged: bool = False


Reader: TypeAlias = Callable[[Any], Subject | None]
