"""Identifiers: matched in full, so that a newline at the end is never a second identity (W25)."""

from collections.abc import Callable

import pytest

from zae_limiter import Limit, ValidationError, naming

CHECKS: dict[str, tuple[Callable[[object], str], str, int]] = {
    "identifier": (naming.check_identifier, "user-1", 256),
    "principal": (naming.check_principal, "someone", 2048),
    "limit": (naming.check_limit_name, "rpm", 64),
    "resource": (naming.check_resource, "api", 64),
    "resource or default": (naming.check_resource_or_default, "api", 64),
    "namespace": (naming.check_namespace, "tenant", 64),
    "unit": (naming.check_unit, "tokens", 32),
}
every_check = pytest.mark.parametrize(("check", "good", "longest"), CHECKS.values(), ids=CHECKS)


@every_check
def test_a_good_name_comes_back(check: Callable[[object], str], good: str, longest: int) -> None:
    assert check(good) == good
    assert check("a" * longest) == "a" * longest


@every_check
@pytest.mark.parametrize("wrong", ["{}\n", "\n{}", "{}#", "#{}", "{}\0", "{} ", "{}\u0131", "{}\x7f", "-{}"], ids=ascii)
def test_a_wrong_character_anywhere_is_refused(
    check: Callable[[object], str], good: str, longest: int, wrong: str
) -> None:
    with pytest.raises(ValidationError):
        check(wrong.format(good))


@every_check
def test_empty_too_long_and_no_text_are_refused(check: Callable[[object], str], good: str, longest: int) -> None:
    for wrong in ("", "a" * (longest + 1), None, 5, b"user"):
        with pytest.raises(ValidationError):
            check(wrong)


def test_names_with_dots_and_dashes_may_be_used() -> None:
    """W5, W26: no name collides with what a store uses for itself."""
    for name in ("my-limit", "a.b", "ttl", "window", "entity_id", "total_events"):
        assert Limit.per_minute(name, 1).name == name
    for name in ("PK", "GSI4PK", "openai/gpt-4"):
        assert naming.check_resource(name) == name


def test_reserved_names_are_kept() -> None:
    assert naming.check_resource_or_default("_default_") == "_default_"
    with pytest.raises(ValidationError):
        naming.check_resource("_default_")
    with pytest.raises(ValidationError, match="reserved"):
        naming.check_namespace("_")


def test_the_message_says_what_is_wrong() -> None:
    with pytest.raises(ValidationError, match="'#'"):
        naming.check_identifier("a#b")
    with pytest.raises(ValidationError, match="at most 256"):
        naming.check_identifier("a" * 257)
    with pytest.raises(ValidationError, match="got int"):
        naming.check_identifier(5)
