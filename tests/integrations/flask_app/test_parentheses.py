"""A decorator without parentheses takes its view for a callable of limits; the view does not stay unlimited unseen."""

from typing import Any

import pytest

from tests.integrations.flask_app.asking import Pair, statuses
from zae_limiter_flask import SettingsError
from zae_limiter_http.doctor.examination import examine

_TOLD = r"page\(\) was taken for a callable of limits, and has no limit; write @limiter\.limit\(\.\.\.\) with"


def _without_parentheses(pair: Pair) -> None:
    app, limiter = pair

    @limiter.limit
    @app.get("/<name>")
    def page(name: str) -> str:
        return name


def test_its_first_request_and_every_later_one_says_what_to_write(pair: Pair) -> None:
    _without_parentheses(pair)
    pair[0].testing = True
    for _ in range(2):
        with pytest.raises(SettingsError, match=_TOLD):
            pair[0].test_client().get("/x")


def test_a_client_is_answered_with_an_error_as_are_other_views_as_ever(pair: Pair) -> None:
    _without_parentheses(pair)
    pair[0].add_url_rule("/other/page", "other", lambda: "x")
    assert statuses(pair[0], "/x", 1) == [500]
    assert statuses(pair[0], "/other/page", 1) == [200]


def test_the_doctor_and_the_commands_say_it_too(pair: Pair) -> None:
    _without_parentheses(pair)
    (finding,) = examine(pair[0]).findings
    assert finding.number == "D01"
    assert "write @limiter.limit(...) with parentheses" in finding.text
    for command in ("routes", "check"):
        result = pair[0].test_cli_runner().invoke(args=["zae-limiter", command])
        assert (result.exit_code, "with parentheses" in result.output) == (1, True)


def test_callables_of_limits_that_are_views_too_or_whose_limit_is_kept_for_later_do_no_harm(pair: Pair) -> None:
    app, limiter = pair

    def by_plan(_: Any) -> str:
        return "2/minute"

    app.add_url_rule("/plans/<_>", "plans", by_plan)
    app.add_url_rule("/page", "page", limiter.limit(by_plan)(lambda: "x"))
    limiter.limit(lambda _: "1/minute")
    assert statuses(app, "/plans/1") == [200, 200, 200]
    assert statuses(app, "/page") == [200, 200, 429]
