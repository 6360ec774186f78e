"""A document as data, with the line of each of its places: YAML, or JSON.

What is written to mislead or to overwhelm is refused before anything of it is used: keys given twice, aliases that
unfold to more than a document may hold or that hold themselves, tags that name objects.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from zae_limiter.exceptions import MissingExtraError, ValidationError

_MOST_NODES: Final = 500_000


@dataclass(frozen=True, slots=True)
class Document:
    """The data of a document, and on which line each place stands, such as `resources.api[0]`."""

    data: Any
    lines: Mapping[str, int] = field(default_factory=dict)

    def line_of(self, place: str, value: str = "") -> int | None:
        """The line of a place, of the nearest one around it, or of a key that reads like `value`."""
        known = [name for name in self.lines if place == name or place.startswith((f"{name}.", f"{name}["))]
        if known:
            return self.lines[max(known, key=len)]
        ends = [line for name, line in self.lines.items() if value and name.endswith(f".{value}")]
        return ends[0] if ends else None


def read_document(text: str, *, is_json: bool) -> Document:
    """The document of a text; `ValidationError` tells what is wrong with it, and where."""
    return _of_json(text) if is_json else _of_yaml(text)


def as_yaml(data: Mapping[str, Any]) -> str:
    """Data as YAML; `MissingExtraError` without the extra."""
    text: str = _yaml().safe_dump(dict(data), sort_keys=False, allow_unicode=True)
    return text


def _of_json(text: str) -> Document:
    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = [key for key in keys if keys.count(key) > 1] if len(set(keys)) < len(keys) else []
        if twice:
            raise ValidationError("manifest", twice[0], "is given twice in one table")
        return dict(pairs)

    try:
        return Document(json.loads(text, object_pairs_hook=table))
    except ValidationError:
        raise
    except (ValueError, RecursionError) as error:
        raise ValidationError("manifest", str(error), "is no JSON") from error


def _of_yaml(text: str) -> Document:
    yaml = _yaml()
    loader = None
    try:
        # Made here: it looks for characters that no document may have at once.
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return Document({})
        _size(node, {}, set())
        lines = dict(_places(node, ""))
        return Document(loader.construct_document(node), lines)
    except yaml.YAMLError as error:
        raise _no_yaml(error) from error
    except RecursionError as error:
        raise ValidationError("manifest", "…", "is nested too deeply") from error
    except ValidationError:
        raise
    except (ValueError, AttributeError, LookupError, TypeError, OverflowError) as error:
        # As which the constructors of tags such as !!timestamp tell a text that they were not made for.
        raise ValidationError("manifest", str(error), "has a value that cannot be read") from error
    finally:
        if loader is not None:
            loader.dispose()


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("yaml", "a manifest in YAML") from error
    return yaml


def _no_yaml(error: Any) -> ValidationError:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or problem is None:
        return ValidationError("manifest", " ".join(str(error).split()), "is no YAML")
    return ValidationError("manifest", f"line {mark.line + 1}, column {mark.column + 1}", f"is no YAML: {problem}")


def _children(node: Any) -> list[Any]:
    if isinstance(node.value, str):
        return []
    return [each for pair in node.value for each in (pair if isinstance(pair, tuple) else (pair,))]


def _size(node: Any, known: dict[int, int], open_nodes: set[int]) -> int:
    """How many nodes there are when every alias is unfolded; each node is looked at once."""
    if id(node) in known:
        return known[id(node)]
    if id(node) in open_nodes:
        raise ValidationError("manifest", f"line {_line(node)}", "an alias there holds itself")
    open_nodes.add(id(node))
    size = 1 + sum(_size(child, known, open_nodes) for child in _children(node))
    open_nodes.discard(id(node))
    if size > _MOST_NODES:
        raise ValidationError("manifest", f"line {_line(node)}", f"unfolds to more than {_MOST_NODES:,} values")
    known[id(node)] = size
    return size


def _places(node: Any, place: str) -> Iterator[tuple[str, int]]:
    if isinstance(node.value, str):
        return
    seen: set[str] = set()
    for number, each in enumerate(node.value):
        key, child = each if isinstance(each, tuple) else (None, each)
        if key is None:
            name = f"{place}[{number}]"
        else:
            if isinstance(key.value, str) and key.value in seen:
                reason = f"is given twice in one table, again on line {_line(key)}"
                raise ValidationError("manifest", str(key.value), reason)
            if isinstance(key.value, str) and key.value != "<<":
                seen.add(key.value)
            name = f"{place}.{key.value}" if place else str(key.value)
        yield name, _line(key or child)
        yield from _places(child, name)


def _line(node: Any) -> int:
    line: int = node.start_mark.line
    return line + 1
