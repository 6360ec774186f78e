"""What views say of themselves: rules and exemptions by decorators, and by an attribute of their class."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from asgiref.sync import iscoroutinefunction  # pyright: ignore[reportDeprecated] # inspect's knows no marks in 3.11
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from zae_limiter_http import Rule, SettingsError, placed

RULES: Final = "zae_limiter_rules"
EXEMPT: Final = "zae_limiter_exempt"
ATTRIBUTE: Final = "rate_limits"

EXEMPT_VIEW: Final = (Rule(exempt=True),)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_OF_CLASSES: Final["WeakKeyDictionary[type, tuple[Any, tuple[Rule, ...]]]"] = WeakKeyDictionary()


def is_async(view: Any) -> bool:
    """Whether a view, or the rest of a stack, is awaited."""
    return iscoroutinefunction(view)  # pyright: ignore[reportDeprecated]


def rules_of(view: Any, method: str | None = None) -> Sequence[Rule]:
    """The rules of a view: those of its decorators, then those of its class; an exempt one has no others.

    With the method of a request also those of the function of a class-based view that will answer it.
    """
    while isinstance(view, functools.partial):
        view = view.func
    marks = getattr(view, "__dict__", {})
    if EXEMPT in marks:
        return EXEMPT_VIEW
    marked: Sequence[Rule] = marks.get(RULES, ())
    kind = marks.get("view_class")
    if kind is None:
        return marked
    if getattr(kind, ATTRIBUTE, None) is not None:
        marked = (*marked, *_rules_of_class(kind))
    # Django REST framework knows the user only inside its view: what marks its functions is charged there.
    if method is None or "cls" in marks:
        return marked
    function = getattr(kind, method.lower(), None) or (getattr(kind, "get", None) if method == "HEAD" else None)
    own = getattr(function, "__dict__", {})
    return EXEMPT_VIEW if EXEMPT in own else (*marked, *own.get(RULES, ()))


def _rules_of_class(kind: type) -> tuple[Rule, ...]:
    said = getattr(kind, ATTRIBUTE)
    known = _OF_CLASSES.get(kind)
    if known is None or known[0] is not said:
        place = f"{kind.__qualname__}.{ATTRIBUTE}"
        known = _OF_CLASSES[kind] = (said, tuple(_read(said, place, {})))
    return known[1]


def _read(said: Any, place: str, chosen: Mapping[str, Any]) -> Iterator[Rule]:
    """The rules of a text, of the words of one rule, of a mapping from methods to these, or of several of them."""
    if isinstance(said, Rule) and not chosen:
        yield said
    elif isinstance(said, str):
        yield placed(said, chosen, place=place)
    elif isinstance(said, Mapping):
        words = {str(name): value for name, value in said.items()}
        methods = [name for name in words if name.upper() in _METHODS]
        for method in methods:
            yield from _read(words.pop(method), f"{place}[{method!r}]", {"methods": [method]})
        if words:
            yield placed(words.pop("limits", None), {**words, **chosen}, place=place)
    elif isinstance(said, Sequence):
        for index, each in enumerate(said):
            yield from _read(each, f"{place}[{index}]", chosen)
    else:
        raise SettingsError(
            [f"{place}: must be limits as text, the words of a rule, or a mapping from methods to them"]
        )


class NamedView(NamedTuple):
    """A view of the project: the name and the template that rules may match, and the view itself."""

    name: str
    route: str
    view: Any


def every_view(
    resolver: URLResolver | None = None, namespaces: tuple[str, ...] = (), prefix: str = ""
) -> Iterator[NamedView]:
    """Every view of the project."""
    for each in (resolver or get_resolver()).url_patterns:
        route = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from every_view(each, (*namespaces, each.namespace) if each.namespace else namespaces, route)
        elif isinstance(each, URLPattern):
            yield NamedView(":".join((*namespaces, each.name or each.lookup_str)), route, each.callback)


def beginnings(resolver: URLResolver | None = None, known: str = "", *, is_whole: bool = True) -> Iterator[str]:
    """What the path of each view with rules of its own begins with, without the slash before it.

    A path that begins otherwise need not be resolved before Django does it.
    """
    for each in (resolver or get_resolver()).url_patterns:
        literal, ends_there = _literal(each.pattern) if is_whole else ("", True)
        begun = known + literal
        if isinstance(each, URLResolver):
            yield from beginnings(each, begun, is_whole=is_whole and not ends_there)
        elif isinstance(each, URLPattern) and _has_rules(each.callback):
            yield begun


def _literal(pattern: Any) -> tuple[str, bool]:
    """What a pattern begins with whatever the request, and whether it goes on with something else."""
    # A translated route is another one in each language.
    route = getattr(pattern, "_route", None) if isinstance(pattern, RoutePattern) else None
    if not isinstance(route, str):
        return "", True
    literal = route.partition("<")[0]
    return literal, literal != route


def _has_rules(view: Any) -> bool:
    kind = getattr(view, "view_class", None)
    methods = getattr(kind, "http_method_names", ())
    return any(rules_of(view, method) for method in (None, *methods))
