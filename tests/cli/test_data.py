"""Commands on entities, levels, namespaces, usage and the audit trail."""

import json

import pytest

from tests.cli.conftest import Run, rows


def test_an_entity_is_stored_shown_changed_and_removed(run: Run) -> None:
    made = run("entity", "create", "user-1", "--parent", "acme", "--cascade", "-m", "plan=pro", "--json")
    changed = run("entity", "update", "user-1", "--parent", "", "--no-cascade", "--display-name", "Anna")
    shown = json.loads(run("entity", "show", "user-1", "--json").stdout)

    assert made.exit_code == changed.exit_code == 0
    assert {**json.loads(made.stdout), "created_at": ""} == {
        "id": "user-1",
        "name": "user-1",
        "parent_id": "acme",
        "cascade": True,
        "metadata": {"plan": "pro"},
        "created_at": "",
    }
    assert (shown["name"], shown["parent_id"], shown["cascade"]) == ("Anna", None, False)
    assert ["name", "Anna"] in rows(run("entity", "show", "user-1"))
    assert run("entity", "create", "user-1").exit_code == 1
    assert run("entity", "delete", "user-1", "--yes").stdout == "removed user-1\n"


def test_the_entities_below_a_parent_are_listed(run: Run) -> None:
    run("entity", "create", "user-1", "--parent", "acme", "--cascade")

    assert [row[:3] for row in rows(run("entity", "children", "acme"))] == [["user-1", "user-1", "yes"]]
    assert [each["id"] for each in json.loads(run("entity", "children", "acme", "--json").stdout)] == ["user-1"]


def test_limits_of_an_entity_are_set_shown_listed_and_removed(run: Run) -> None:
    for number in range(3):
        run("entity", "set-limits", f"user-{number}", "-r", "api", "-l", "rpm:100/minute:150")

    assert rows(run("entity", "get-limits", "user-1", "-r", "api")) == [["rpm", "100", "150", "100/minute", "requests"]]
    assert run("entity", "list", "--with-custom-limits", "api").stdout.split() == ["user-0", "user-1", "user-2"]
    assert json.loads(run("entity", "list", "--with-custom-limits", "api", "--limit", "2", "--json").stdout) == [
        "user-0",
        "user-1",
    ]
    assert run("entity", "list-resources").stdout == "api\n"
    assert run("entity", "delete-limits", "user-1", "-r", "api", "--yes").exit_code == 0
    assert "no limits of its own" in run("entity", "get-limits", "user-1", "-r", "api").stdout


def test_the_units_and_bursts_of_limits_are_read(run: Run) -> None:
    run("resource", "set-defaults", "gpt-4", "-l", "tpm:90000/minute::tokens", "-l", "100/minute+150; 5 per 2 hours")

    found = json.loads(run("resource", "get-defaults", "gpt-4", "--json").stdout)
    assert [(each["name"], each["burst"], each.get("unit")) for each in found] == [
        ("tpm", 90_000, "tokens"),
        ("rpm", 150, None),
        ("rph", 5, None),
    ]
    assert rows(run("resource", "get-defaults", "gpt-4"))[2][3:5] == ["5/2", "hours"]


@pytest.mark.parametrize("text", ["rpm:0/minute", "rpm", "rpm:100", "rpm:100/month", "r#m:100/minute"])
def test_a_limit_that_cannot_be_read_is_one_line(run: Run, text: str) -> None:
    answer = run("resource", "set-defaults", "api", "-l", text)

    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: ")
    assert run("resource", "list").stdout == ""


def test_limits_of_a_resource_are_listed_and_removed(run: Run) -> None:
    run("resource", "set-defaults", "api", "-l", "rpm:100/minute")

    assert json.loads(run("resource", "list", "--json").stdout) == ["api"]
    assert run("resource", "delete-defaults", "api", "--yes").exit_code == 0
    assert run("resource", "get-defaults", "api").stdout == "no limits are set for api\n"


def test_what_is_stored_for_an_outage_stays_unless_it_is_given(run: Run) -> None:
    run("system", "set-defaults", "-l", "rpm:100/minute", "--on-unavailable", "allow")
    run("system", "set-defaults", "-l", "rpm:200/minute")
    kept = json.loads(run("system", "get-defaults", "--json").stdout)
    run("system", "set-defaults", "-l", "rpm:200/minute", "--clear-on-unavailable")

    assert (kept["limits"][0]["capacity"], kept["on_unavailable"]) == (200, "allow")
    assert run("system", "get-defaults").stdout.endswith("on-unavailable: not set (block)\n")
    assert run("system", "delete-defaults", "--yes").exit_code == 0
    assert run("system", "get-defaults").stdout.startswith("no limits are set for the system")


def test_a_charge_is_granted_and_refused(run: Run) -> None:
    run("resource", "set-defaults", "api", "-l", "rpm:10/hour", "-l", "tph:100/hour::tokens")
    first = run("acquire", "user-1", "api", "-c", "rpm=8", "-c", "tph=50", "--json")
    refused = run("acquire", "user-1", "api", "-c", "8")
    never = run("acquire", "user-1", "api", "-c", "11", "--json")

    granted = json.loads(first.stdout)
    assert (granted["granted"], [each["available"] for each in granted["limits"]]) == (True, [2, 50])
    assert (refused.exit_code, refused.stdout.split()[0]) == (3, "refused")
    assert "try again in" in refused.stderr
    assert never.exit_code == 3
    assert json.loads(never.stdout)["retry_after_seconds"] is None
    assert rows(run("available", "user-1", "api")) == [["rpm", "2"], ["tph", "50"]]


def test_limits_may_be_given_with_a_charge(run: Run) -> None:
    assert run("acquire", "user-1", "api", "--limits", "10/minute").stdout.startswith("granted\n")
    assert json.loads(run("available", "user-1", "api", "--limits", "10/minute", "--json").stdout)["rpm"] in (9, 10)


@pytest.mark.parametrize(
    ("cost", "reason"), [("x", "write a number"), ("=3", "write a number"), ("rpm", "NAME=NUMBER")]
)
def test_a_cost_that_cannot_be_read_is_a_usage_error(run: Run, cost: str, reason: str) -> None:
    answer = run("acquire", "user-1", "api", "-c", cost, "--limits", "10/minute")

    assert answer.exit_code == 2
    assert "write a number, or NAME=NUMBER" in answer.stderr


def test_a_limit_is_charged_once(run: Run) -> None:
    answer = run("acquire", "user-1", "api", "-c", "rpm=1", "-c", "rpm=2", "--limits", "10/minute")

    assert answer.exit_code == 2
    assert "'rpm' is given twice" in answer.stderr


def test_buckets_are_made_full_again(run: Run) -> None:
    run("acquire", "user-1", "api", "-c", "8", "--limits", "10/hour")
    run("acquire", "user-1", "web", "-c", "8", "--limits", "10/hour")

    assert run("reset", "user-1", "-r", "api", "--yes").stdout == "1 bucket is full again\n"
    assert run("reset", "user-1", "--yes").stdout == "1 bucket is full again\n"
    assert run("reset", "user-1", "--yes").stdout == "0 buckets are full again\n"


def test_capacity_is_added_up(run: Run) -> None:
    run("resource", "set-defaults", "api", "-l", "rph:10/hour")
    for entity in ("user-1", "user-2"):
        run("acquire", entity, "api", "-c", "5")

    assert rows(run("resource", "capacity", "api", "rph"))[-1] == ["total", "20", "10", "50.0", "%"]
    assert json.loads(run("resource", "capacity", "api", "rph", "--json").stdout)["total_capacity"] == 20
    assert json.loads(run("resource", "capacity", "api", "rph", "--parents-only", "--json").stdout)["entities"] == []


def test_usage_is_listed_page_by_page_and_added_up(run: Run) -> None:
    run("acquire", "user-1", "api", "-c", "3", "--limits", "10/hour")
    first = run("usage", "list", "-e", "user-1", "-l", "1")
    key = first.stderr.removeprefix("more: --next-key '").removesuffix("'\n")
    second = json.loads(run("usage", "list", "-e", "user-1", "-l", "1", "--next-key", key, "--json").stdout)

    assert rows(first)[0][-1] == "rph=3"
    assert [each["window_type"] for each in second["snapshots"]] == ["daily"]
    assert rows(run("usage", "summary", "-e", "user-1", "-w", "hourly"))[1:] == [["rph", "3", "3.00"]]
    assert json.loads(run("usage", "summary", "-r", "api", "--json").stdout)["total"] == {"rph": 3}


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("summary",), ("list", "-e", "x", "--next-key", "oops"), ("list", "-e", "x", "-w", "weekly")],
)
def test_usage_that_is_asked_for_wrongly_is_a_usage_error(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("usage", *arguments).exit_code == 2


def test_the_audit_trail_goes_on_after_an_event(run: Run) -> None:
    run("entity", "create", "user-1")
    run("entity", "set-limits", "user-1", "-l", "rpm:1/minute")
    first = run("audit", "list", "-e", "user-1", "-l", "1")
    event = first.stderr.removeprefix("more: --start-event-id ").strip()
    rest = json.loads(run("audit", "list", "-e", "user-1", "--start-event-id", event, "--json").stdout)

    assert rows(first)[0][1:4] == ["limits_set", "ops", "_default_"]
    assert [each["action"] for each in rest] == ["entity_created"]


def test_a_namespace_goes_out_of_use_comes_back_and_is_purged(run: Run) -> None:
    (name, namespace_id), *_ = rows(run("namespace", "register", "staging", "production"))
    assert json.loads(run("namespace", "register", "staging", "--json").stdout) == {name: namespace_id}
    assert [row[0] for row in rows(run("namespace", "list"))] == ["default", "production", "staging"]
    assert ["name", "staging"] in rows(run("namespace", "show", "staging"))
    assert json.loads(run("namespace", "show", "staging", "--json").stdout)["status"] == "active"

    assert run("namespace", "delete", "staging", "--yes").exit_code == 0
    assert run("namespace", "show", "staging").exit_code == run("namespace", "delete", "staging").exit_code == 1
    assert rows(run("namespace", "orphans"))[0][:3] == [namespace_id, "staging", "deleted"]
    assert run("namespace", "recover", namespace_id).stdout == "staging is in use again\n"
    run("namespace", "delete", "staging", "--yes")
    assert run("namespace", "purge", namespace_id, "--yes").stdout == f"removed {namespace_id}\n"
    assert json.loads(run("namespace", "orphans", "--json").stdout) == []


def test_commands_that_read_write_nothing(run: Run) -> None:
    run("resource", "set-defaults", "api", "-l", "rpm:10/minute")
    before = run("usage", "list", "-r", "api").stdout, run("audit", "list", "-e", "$RESOURCE:api").stdout
    for arguments in (
        ("available", "user-1", "api"),
        ("top",),
        ("limits", "export"),
        ("entity", "list-resources"),
        ("resource", "capacity", "api", "rpm"),
    ):
        assert run(*arguments).exit_code == 0

    assert (run("usage", "list", "-r", "api").stdout, run("audit", "list", "-e", "$RESOURCE:api").stdout) == before
    assert json.loads(run("top", "--json").stdout) == []


@pytest.mark.parametrize("pair", ["plan", "=pro"])
def test_metadata_that_cannot_be_read_is_a_usage_error(run: Run, pair: str) -> None:
    assert run("entity", "create", "user-1", "-m", pair).exit_code == 2
