"""`zae-limiter deploy`, `delete`, `upgrade`, `cfn-template` and `lambda-export`.

What they work on is the stack that CloudFormation holds; a change tells its events as they come.
"""

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from zae_limiter.cli.options import (
    confirm,
    errors_told,
    named_table_options,
    open_table,
    table_options,
    yes_option,
)
from zae_limiter.cli.render import json_option, show_json, show_table

if TYPE_CHECKING:
    from zae_limiter.infra.stacks import StackEvent
    from zae_limiter.infra.sync_stack_manager import SyncStackManager
    from zae_limiter.sync_repository import SyncRepository

_LOG_DAYS: Final = tuple(
    map(str, (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653))
)
_FLAGS: Final = (
    ("--enable-aggregator/--no-aggregator", "enable_aggregator", "The function that counts usage.  [default: on]"),
    ("--enable-alarms/--no-alarms", "enable_alarms", "Alarms.  [default: on]"),
    (
        "--enable-audit-archival/--no-audit-archival",
        "enable_audit_archival",
        "Expired events to S3.  [default: on]",
    ),
    ("--enable-tracing/--no-tracing", "enable_tracing", "Tracing of the function.  [default: off]"),
    ("--create-iam-roles/--no-create-iam-roles", "create_iam_roles", "Roles beside the policies.  [default: off]"),
    ("--iam/--no-iam", "create_iam", "Policies and roles at all.  [default: on]"),
    (
        "--enable-deletion-protection/--no-deletion-protection",
        "enable_deletion_protection",
        "Keep the table from being deleted.  [default: off]",
    ),
)
_NUMBERS: Final = (
    ("--usage-retention-days", 1, 3_650, "Days that usage is kept.  [default: 90]"),
    ("--audit-retention-days", 1, 3_650, "Days that audit events are kept.  [default: 90]"),
    ("--pitr-recovery-days", 1, 35, "Days to which the table can be restored."),
    ("--lambda-timeout", 1, 900, "Seconds that the function may take.  [default: 60]"),
    ("--lambda-memory", 128, 3_008, "Megabytes of the function.  [default: 256]"),
    ("--lambda-duration-threshold-pct", 1, 100, "Percent of the timeout that alarm.  [default: 80]"),
    ("--audit-archive-glacier-days", 1, 3_650, "Days until the archive moves to Glacier.  [default: 90]"),
)
_TEXTS: Final = (
    ("--snapshot-windows", "Windows of usage: hourly, daily, monthly.  [default: hourly,daily]"),
    ("--alarm-sns-topic", "ARN of the topic that alarms go to."),
    ("--permission-boundary", "Name or ARN of the boundary of all roles."),
    ("--role-name-format", "How roles are named, such as team-{}-role."),
    ("--policy-name-format", "How policies are named, such as team-{}-policy."),
    ("--aggregator-role-arn", "ARN of a role of your own for the function."),
    ("--kms-key-arn", "ARN of the key that encrypts the table."),
)


def _stack_settings(function: Callable[..., None]) -> Callable[..., None]:
    """The options of a stack; what is not given is None, so that an update leaves it as it is."""
    options = [click.option(flag, field, default=None, help=words) for flag, field, words in _FLAGS]
    options += [
        click.option(name, type=click.IntRange(least, most), help=words) for name, least, most, words in _NUMBERS
    ]
    options += [click.option(name, help=words) for name, words in _TEXTS]
    options.append(click.option("--log-retention-days", type=click.Choice(_LOG_DAYS), help="Days.  [default: 30]"))
    options.append(
        click.option("--lambda-architecture", type=click.Choice(["x86_64", "arm64"]), help="[default: x86_64]")
    )
    options.append(click.option("--tag", "-t", "tags", multiple=True, metavar="KEY=VALUE", help="May be repeated."))
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@table_options
@_stack_settings
@click.option("--wait/--no-wait", default=True, help="Wait until the stack is ready.  [default: wait]")
@json_option
def deploy(*, name: str, region: str | None, endpoint_url: str | None, wait: bool, as_json: bool, **given: Any) -> None:
    """Create the stack, or change what is given of one that is there; then bring the function's code.

    For example: zae-limiter deploy --name my-app --region eu-central-1 --usage-retention-days 30
    """
    from zae_limiter.models import StackOptions

    changes, say = _changes(given), _say_unless(as_json)
    with errors_told(), _stacks(name, region, endpoint_url) as stacks:
        # Before anything is asked: what is wrong of itself need not wait for an answer.
        options = StackOptions(**changes)
        stack = stacks.describe_stack()
        if stack is None:
            answer = stacks.create_stack(options, wait)
        else:
            answer = stacks.update_stack(changes=changes, wait=wait)
        found: dict[str, Any] = {"name": name, "stack_status": answer["status"], "is_ready": wait}
        say(f"stack {name}: {answer['status']}")
        if wait:
            found["function"] = code = _bring_function(stacks, say)
            with _table(name, region, endpoint_url) as repository:
                _prepare(repository, changes.get("audit_retention_days"), code)
            say("the table is ready, with the namespace 'default'")
        else:
            say(f"'zae-limiter status --name {name}' tells when it is ready; run deploy again then")
    if as_json:
        show_json(found)


def _say_unless(as_json: bool) -> Callable[[str], None]:  # noqa: FBT001 - its name asks for it
    """What tells of each step as it is done, where the end is not told as data."""
    return (lambda _: None) if as_json else click.echo


def _bring_function(stacks: "SyncStackManager", say: Callable[[str], None]) -> dict[str, Any] | None:
    """Bring the code of the stack's function, if it has one; older code does not go on a newer stack."""
    from zae_limiter.exceptions import StackCreationError
    from zae_limiter.infra.tags import newer_reason

    stack = stacks.describe_stack()
    reason = None if stack is None else newer_reason(stack.tags)
    if reason is not None:
        raise StackCreationError(stacks.stack_name, reason)
    if stack is None or "AggregatorFunctionName" not in stack.outputs:
        return None
    code = stacks.deploy_lambda_code()
    say(f"function {stack.stack_name}-aggregator: {code['status']}, {code['size_bytes']:,} bytes")
    return code


@contextlib.contextmanager
def _table(name: str, region: str | None, endpoint_url: str | None) -> "Generator[SyncRepository, None, None]":
    repository = open_table(name, region, endpoint_url)
    try:
        yield repository
    finally:
        repository.close()


def _prepare(repository: "SyncRepository", audit_retention_days: int | None, code: dict[str, Any] | None) -> None:
    """Write the records without which nobody can use the table, and what reads its stream."""
    repository.create_table()
    if audit_retention_days is not None:
        repository.set_audit_retention(audit_retention_days)
    if code is not None:
        repository.record_aggregator(code["version"])


def _stacks(name: str, region: str | None, endpoint_url: str | None) -> "SyncStackManager":
    """A manager that tells its events; who calls the commands may hand in the ports that it waits on."""
    from zae_limiter.infra.sync_stack_manager import SyncStackManager

    ports = click.get_current_context().obj or {}
    return SyncStackManager(name, region, endpoint_url, told=_tell, **ports)


def _changes(given: dict[str, Any]) -> dict[str, Any]:
    from zae_limiter.cli.parse import metadata_of

    changes = {key: value for key, value in given.items() if value is not None and key != "tags"}
    if "log_retention_days" in changes:
        changes["log_retention_days"] = int(changes["log_retention_days"])
    tags = metadata_of(given["tags"], "--tag")
    return changes if tags is None else {**changes, "tags": tags}


@click.command()
@named_table_options
@yes_option
@click.option("--wait/--no-wait", default=True, help="Wait until it is gone.  [default: wait]")
@json_option
def delete(*, name: str, region: str | None, endpoint_url: str | None, yes: bool, wait: bool, as_json: bool) -> None:
    """Delete the stack with its table and all that is in it; the archive of audit events stays.

    For example: zae-limiter delete --name my-app --yes
    """

    with errors_told(), _stacks(name, region, endpoint_url) as stacks:
        if stacks.describe_stack() is None:
            raise click.ClickException(f"there is no stack {name!r}; nothing was deleted")
        confirm(f"Delete the stack {name} with its table and all that is in it?", yes=yes)
        stacks.delete_stack(name, wait)
    if as_json:
        show_json({"name": name, "is_gone": wait})
    else:
        click.echo(f"deleted {name}" if wait else f"{name} is being deleted")


@click.command()
@table_options
@click.option("--lambda-only", is_flag=True, help="Bring the function's code alone.")
@json_option
def upgrade(*, name: str, region: str | None, endpoint_url: str | None, lambda_only: bool, as_json: bool) -> None:
    """Bring the stack, the function and the schema to this version; parameters keep their values.

    For example: zae-limiter upgrade --name my-app
    """
    found: dict[str, Any] = {"name": name}
    say = _say_unless(as_json)
    with errors_told(), _stacks(name, region, endpoint_url) as stacks:
        if not lambda_only:
            found["stack_status"] = stacks.update_stack()["status"]
            say(f"stack {name}: {found['stack_status']}")
        found["function"] = code = _bring_function(stacks, say)
        with _table(name, region, endpoint_url) as repository:
            if code is not None:
                repository.record_aggregator(code["version"])
            if not lambda_only:
                found["migrations"] = repository.migrate()
                say(f"schema: {', '.join(found['migrations']) or 'up to date'}")
    if as_json:
        show_json(found)


_force_option = click.option("--force", "-f", is_flag=True, help="Replace a file that is there.")


@click.command("cfn-template")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file in place of the screen.")
@_force_option
def cfn_template(*, output: Path | None, force: bool) -> None:
    """Print the CloudFormation template.

    For example: zae-limiter cfn-template -o limiter.yaml
    """
    from zae_limiter.infra.template import template_text

    if output is None:
        click.echo(template_text(), nl=False)
        return
    _refuse_existing(output, force=force)
    _write(output, template_text().encode())


@click.command("lambda-export")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), default=Path("lambda.zip"), show_default=True
)
@click.option("--info", is_flag=True, help="Tell what would be in it, and write nothing.")
@_force_option
@json_option
def lambda_export(*, output: Path, info: bool, force: bool, as_json: bool) -> None:
    """Write the package of the aggregator's function.

    For example: zae-limiter lambda-export -o lambda.zip
    """
    from zae_limiter.infra.lambda_builder import build_lambda_package, get_package_info

    with errors_told():
        if info:
            found = get_package_info()
            if as_json:
                show_json(found)
                return
            show_table(("field", "value"), [(key.replace("_", " "), value) for key, value in found.items()])
            return
        _refuse_existing(output, force=force)
        package = build_lambda_package()
        _write(output, package)
    if as_json:
        show_json({"file": str(output), "size_bytes": len(package)})
    else:
        click.echo(f"{output}: {len(package) / 1024:.1f} KB")


def _refuse_existing(output: Path, *, force: bool) -> None:
    # Files alone: nothing is lost at a terminal or in a pipe.
    if output.is_file() and not force:
        raise click.ClickException(f"{output} is there already; --force replaces it")


def _write(output: Path, content: bytes) -> None:
    try:
        output.write_bytes(content)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error


def _tell(event: "StackEvent") -> None:
    reason = f": {event.reason}" if event.reason else ""
    click.echo(f"  {event.resource}  {event.status}{reason}", err=True)
