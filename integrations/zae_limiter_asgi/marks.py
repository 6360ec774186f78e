"""What stands at a view: the rules that `rate_limit` and `rate_limit_exempt` leave there for the middleware."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType
from typing import Annotated, Any, Final, Never, TypeVar
from weakref import WeakSet

from zae_limiter_http import Rule, placed
from zae_limiter_http.layers import layers

V = TypeVar("V", bound=Callable[..., Any])

RULES: Final = "zae_limiter_rules"
EXEMPTION: Final = Rule(exempt=True, name="rate_limit_exempt")
_PARENTHESES: Final = "write @rate_limit(...) with parentheses, such as @rate_limit('5/minute')"
_in_use: list[bool] = []
_taken: WeakSet[Any] = WeakSet()


class NoField:
    """At a parameter that no client fills in: FastAPI, which takes it for one, is told as it makes the route."""

    def __init__(self, told: str) -> None:
        self._told = told

    def __get_pydantic_core_schema__(self, *_: object) -> Never:
        """Called where the parameter becomes a field of a request."""
        raise TypeError(self._told)


_IS_A_DECORATOR: Final = NoField(f"{_PARENTHESES}; for Depends(...) there is zae_limiter_asgi.fastapi.rate_limit")


def rate_limit(limits: Annotated[Any, _IS_A_DECORATOR] = None, **words: Any) -> Callable[[V], V]:
    """A decorator that lets the middleware charge a rule for a view; takes the words of `Rule` but `match`.

    It stands above or below other decorators, on functions, classes and their methods. The resource is the route
    unless one is named. Raises `SettingsError` with all mistakes.
    """
    rule = placed(limits, words)
    take(limits, words)

    def marked(view: Annotated[V, _IS_A_DECORATOR]) -> V:
        if not callable(view):  # without parentheses the view was taken for the limits, and this is its request
            raise TypeError(_PARENTHESES)
        return mark(view, rule)

    return marked


def take(limits: Any, words: Mapping[str, Any]) -> None:
    """Remember a callable of limits: it may be a view below a decorator without parentheses."""
    if isinstance(limits, FunctionType) and not words:
        _taken.add(limits)


def taken(views: Iterable[Any], rules: Iterable[Rule]) -> list[str]:
    """The names of the views that were taken for callables of limits, which are in none of the rules."""
    in_use = [rule.limits for rule in rules]
    found = [view for view in views if isinstance(view, FunctionType) and view in _taken and view not in in_use]
    return sorted({f"{view.__module__}.{view.__qualname__}" for view in found})


def rate_limit_exempt(view: V) -> V:
    """A decorator that lets requests to a view pass uncharged, whatever the rules say."""
    return mark(view, EXEMPTION)


def mark(view: V, rule: Rule) -> V:
    """Leave a rule at a view."""
    _in_use[:] = [True]
    return label(view, rule)


def label(view: V, rule: Rule) -> V:
    """Let a function tell which rule it has to do with; a dependency charges its rule itself."""
    setattr(view, RULES, (rule, *labels_of(view)))
    return view


def labels_of(place: Any) -> tuple[Rule, ...]:
    """The rules that a function or a class itself tells of."""
    return tuple(getattr(place, RULES, ()))


def are_in_use() -> bool:
    """Whether any view has been marked, so that requests have to be matched with views."""
    return bool(_in_use)


def rules_of(view: Any, method: str) -> tuple[Rule, ...]:
    """The rules at a view, and where it is a class those at the method that will answer."""
    found: dict[str, Rule] = {}
    for place in _places(view, method):
        for rule in labels_of(place):
            found.setdefault(rule.identity, rule)
    return tuple(found.values())


def _places(view: Any, method: str) -> Iterator[Any]:
    yield from layers(view)
    cls = view if isinstance(view, type) else getattr(view, "view_class", None)
    if cls is not None:
        yield cls
        name = method.lower()
        yield getattr(cls, name, getattr(cls, "get", None) if name == "head" else None)
