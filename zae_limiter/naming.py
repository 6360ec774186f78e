"""What an identifier may look like: one validator for each kind, used at every public entry.

All patterns are matched in full, so that a trailing newline is never a second identity.
"""

import re
from typing import Final

from zae_limiter.exceptions import InvalidIdentifierError, InvalidNameError, ValidationError

DEFAULT_RESOURCE: Final = "_default_"
DEFAULT_NAMESPACE: Final = "default"
_RESERVED_NAMESPACE: Final = "_"

_IDENTIFIER: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-:@]{0,255}")
_LIMIT_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_.\-]{0,63}")
_RESOURCE: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_.\-/]{0,63}")
_NAMESPACE: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]{0,63}")
_STACK: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9\-]{0,54}")
_UNIT: Final = re.compile(r"[a-z][a-z0-9\-]{0,31}")
_PRINCIPAL: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-:@/+=,]{0,2047}")


def check_identifier(value: object, field: str = "entity_id") -> str:
    """Return the identifier of an entity, or raise `InvalidIdentifierError`."""
    if isinstance(value, str) and _IDENTIFIER.fullmatch(value):
        return value
    raise InvalidIdentifierError(
        field, _shown(value), _why(value, 256, "letters, digits and _ . - : @, a letter or digit first")
    )


def check_principal(value: object) -> str:
    """Return who made a change, or raise `InvalidIdentifierError`."""
    if isinstance(value, str) and _PRINCIPAL.fullmatch(value):
        return value
    allowed = "letters, digits and _ . - : @ / + = , , a letter or digit first"
    raise InvalidIdentifierError("principal", _shown(value), _why(value, 2048, allowed))


def check_optional_principal(value: object) -> str | None:
    """Like `check_principal`, and None is allowed: nobody was named."""
    return None if value is None else check_principal(value)


def check_limit_name(value: object) -> str:
    """Return the name of a limit, or raise `InvalidNameError`."""
    if isinstance(value, str) and _LIMIT_NAME.fullmatch(value):
        return value
    raise InvalidNameError("name", _shown(value), _why(value, 64, "letters, digits and _ . -, a letter first"))


def check_resource(value: object) -> str:
    """Return the name of a resource, or raise `InvalidNameError`."""
    if isinstance(value, str) and _RESOURCE.fullmatch(value):
        return value
    raise InvalidNameError("resource", _shown(value), _why(value, 64, "letters, digits and _ . - /, a letter first"))


def check_resource_or_default(value: object) -> str:
    """Like `check_resource`, and `_default_` is allowed: the limits of an entity for every resource."""
    return DEFAULT_RESOURCE if value == DEFAULT_RESOURCE else check_resource(value)


def check_namespace(value: object) -> str:
    """Return the name of a namespace, or raise `ValidationError`."""
    if isinstance(value, str) and _NAMESPACE.fullmatch(value):
        return value
    if value == _RESERVED_NAMESPACE:
        raise ValidationError("namespace", _RESERVED_NAMESPACE, "the name is reserved; choose another")
    raise ValidationError(
        "namespace", _shown(value), _why(value, 64, "letters, digits and _ . -, a letter or digit first")
    )


def check_stack_name(value: object, field: str = "name") -> str:
    """Return the name of a stack, which is that of its table, or raise `ValidationError`."""
    if isinstance(value, str) and _STACK.fullmatch(value):
        return value
    raise ValidationError(field, _shown(value), _why(value, 55, "letters, digits and -, a letter first"))


def check_unit(value: object) -> str:
    """Return the unit of a limit, or raise `ValidationError`."""
    if isinstance(value, str) and _UNIT.fullmatch(value):
        return value
    raise ValidationError("unit", _shown(value), _why(value, 32, "small letters, digits and -, a letter first"))


def _shown(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def _why(value: object, longest: int, allowed: str) -> str:
    if not isinstance(value, str):
        return f"must be a str, got {type(value).__name__}"
    if not value:
        return "must not be empty"
    if len(value) > longest:
        return f"has {len(value)} characters, at most {longest} are allowed"
    if "#" in value:
        return f"must not contain '#'; allowed: {allowed}"
    return f"allowed: {allowed}"
