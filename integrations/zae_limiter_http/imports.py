"""Callables by name: `package.module:name`, or dotted where nothing else can be meant."""

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from zae_limiter_http.rule import Rule, SettingsError

_COLON: Final = re.compile(r"[A-Za-z_]\w*(\.\w+)*:[A-Za-z_]\w*(\.\w+)*")
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(\.\w+)+")
_OTHERWISE: Final = ("header:", "route:", "throttle:", "view:")

# Words of a rule whose texts mean something else, unless they have a colon; the others take no text of dots.
_TEXTS: Final = frozenset({"match", "resource", "limits"})
_RULE_WORDS: Final = frozenset(
    {
        "match",
        "key",
        "resource",
        "limits",
        "cost",
        "exempt_when",
        "shadow",
        "refund_on",
        "deduct_when",
        "cost_from_response",
        "validated",
    }
)


def imported(value: Any, *, dotted: bool = True) -> Any:
    """What an import string names; anything else as it is."""
    if not isinstance(value, str) or value.startswith(_OTHERWISE):
        return value
    if _COLON.fullmatch(value):
        module, _, name = value.partition(":")
    elif dotted and _DOTTED.fullmatch(value):
        module, _, name = value.rpartition(".")
    else:
        return value
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise SettingsError([f"{value!r} cannot be imported: {error}"]) from None
    return found


def rule_of(value: Any) -> Rule:
    """A rule from its mapping of words; `SettingsError` with what cannot be imported or is no mapping."""
    if isinstance(value, Rule):
        return value
    if not isinstance(value, Mapping):
        raise SettingsError([f": must be a Rule or a mapping, got {type(value).__name__}"])
    words: dict[str, Any] = {str(name): each for name, each in value.items()}
    mistakes: list[str] = []
    for word in sorted(_RULE_WORDS.intersection(words)):
        try:
            words[word] = _of_word(word, words[word])
        except SettingsError as error:
            mistakes += [f".{word}: {mistake}" for mistake in error.mistakes]
            del words[word]
    rule = Rule(**words)
    if mistakes:
        raise SettingsError(mistakes + [f".{mistake}" for mistake in rule.mistakes])
    return rule


def _of_word(word: str, value: Any) -> Any:
    if word == "key" and isinstance(value, list | tuple):
        return [imported(each) for each in value]
    return imported(value, dotted=word not in _TEXTS)
