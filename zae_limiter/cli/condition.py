"""`zae-limiter status`, `list`, `version` and `check`: how a deployed limiter stands. They read and write nothing."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import click

from zae_limiter import __version__
from zae_limiter.cli.options import PATIENCE_SECONDS, Refused, TableChoice, errors_told, open_table, place_options
from zae_limiter.cli.render import json_option, show_json, show_table

if TYPE_CHECKING:
    from zae_limiter.models import Status

_LOOK_SECONDS = 5.0
"""How long CloudFormation is asked by who only looks."""
_GOOD = frozenset(
    {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"}
)


@click.command()
@place_options
@json_option
def status(address: str, *, as_json: bool) -> None:
    """Show how a limiter stands; exits with 3 when its store does not answer or its stack has failed.

    For example: zae-limiter status --name my-app
    """
    from dataclasses import asdict

    if not address.startswith("dynamodb:"):
        _show_fields(_status_of_file(address), as_json=as_json)
        return
    table = TableChoice.at(address)
    found = status_of(table.name, table.region, table.endpoint_url)
    _show_fields(asdict(found), as_json=as_json)
    if not found.available:
        raise Refused(f"the table {found.name!r} does not answer")
    if found.stack_status is not None and found.stack_status not in _GOOD:
        raise Refused(f"the stack {found.name!r} is {found.stack_status}; its events in CloudFormation say why")


def _status_of_file(address: str) -> dict[str, Any]:
    """What an embedded store says of itself; a file that cannot be used is not healthy."""
    from zae_limiter.embedded.database import SCHEMA_VERSION
    from zae_limiter.exceptions import InfrastructureError, VersionError
    from zae_limiter.stores import open_sync_limiter

    started = time.perf_counter()
    try:
        with open_sync_limiter(address, timeout=PATIENCE_SECONDS) as limiter:
            namespaces = [each["name"] for each in limiter.repository.list_namespaces()]
    except (InfrastructureError, VersionError) as error:
        raise Refused(str(error)) from error
    path = Path(unquote(urlsplit(address).path))
    return {
        "available": True,
        "latency_ms": round((time.perf_counter() - started) * 1000, 1),
        "store": address,
        "schema_version": SCHEMA_VERSION,
        "client_version": __version__,
        "namespaces": len(namespaces),
        "size_bytes": path.stat().st_size if path.is_file() else None,
    }


def _show_fields(data: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(data)
    else:
        show_table(("field", "value"), [(key.replace("_", " "), _shown(value)) for key, value in data.items()])


def status_of(name: str, region: str | None, endpoint_url: str | None) -> "Status":
    """What the stack, the table and the version record say; what cannot be asked is None."""
    from zae_limiter.models import Status

    stack = _stack(name, region, endpoint_url)
    outputs = {} if stack is None else stack.outputs
    started = time.perf_counter()
    table, record = _table_and_record(name, region, endpoint_url)
    latency_ms = None if table is None else round((time.perf_counter() - started) * 1000, 1)
    return Status(
        available=table is not None and table["TableStatus"] in {"ACTIVE", "UPDATING"},
        latency_ms=latency_ms,
        stack_status=None if stack is None else stack.status,
        table_status=None if table is None else table["TableStatus"],
        aggregator_enabled="AggregatorFunctionName" in outputs,
        name=name,
        region=region,
        schema_version=record.get("schema_version"),
        lambda_version=record.get("lambda_version"),
        client_version=__version__,
        table_item_count=None if table is None else table.get("ItemCount"),
        table_size_bytes=None if table is None else table.get("TableSizeBytes"),
        app_role_arn=outputs.get("AppRoleArn"),
        admin_role_arn=outputs.get("AdminRoleArn"),
        readonly_role_arn=outputs.get("ReadOnlyRoleArn"),
    )


def _stack(name: str, region: str | None, endpoint_url: str | None) -> Any:
    """The stack; None where there is none, or where nothing but the table can be asked."""
    from zae_limiter.exceptions import InfrastructureError, RateLimiterUnavailable
    from zae_limiter.infra.sync_stack_manager import SyncStackManager

    if endpoint_url is None and _is_elsewhere():
        return None
    try:
        with SyncStackManager(name, region, endpoint_url, timeout=_LOOK_SECONDS, **_ports()) as stacks:
            return stacks.describe_stack()
    except RateLimiterUnavailable as error:
        click.echo(_silent(error), err=True)
        return None
    except InfrastructureError:
        return None


def _ports() -> dict[str, Any]:
    """Who calls the commands may hand in the ports that they wait on."""
    context = click.get_current_context(silent=True)
    return {} if context is None else context.obj or {}


def _silent(error: Exception) -> str:
    return f"CloudFormation does not answer; see that the region, the endpoint and any proxy are right: {error}"


def _is_elsewhere() -> bool:
    """Whether tables alone are asked at an address of their own: a local store, which no stack holds."""
    others = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_CLOUDFORMATION")
    return bool(os.environ.get("AWS_ENDPOINT_URL_DYNAMODB")) and not any(map(os.environ.get, others))


def _table_and_record(name: str, region: str | None, endpoint_url: str | None) -> tuple[Any, dict[str, Any]]:
    from zae_limiter.exceptions import InfrastructureError

    repository = open_table(name, region, endpoint_url)
    try:
        table = repository.describe_table()
        return table, {} if table is None else repository.get_version_record() or {}
    except InfrastructureError as error:
        click.echo(str(error), err=True)
        return None, {}
    finally:
        repository.close()


@click.command("list")
@click.option("--region", envvar="ZAE_LIMITER_REGION", help="AWS region.")
@click.option("--endpoint-url", envvar="ZAE_LIMITER_ENDPOINT_URL", help="Where AWS's services answer, if not at AWS.")
@json_option
def list_limiters(*, region: str | None, endpoint_url: str | None, as_json: bool) -> None:
    """List the limiters that are deployed in a region.

    For example: zae-limiter list --region eu-central-1
    """
    from dataclasses import asdict

    from zae_limiter.exceptions import RateLimiterUnavailable
    from zae_limiter.infra.sync_discovery import SyncInfrastructureDiscovery

    with errors_told():
        discovery = SyncInfrastructureDiscovery(region, endpoint_url, timeout=_LOOK_SECONDS, **_ports())
        try:
            found = discovery.list_limiters("limiter")
        except RateLimiterUnavailable as error:
            raise click.ClickException(_silent(error)) from error
        finally:
            discovery.close()
    if as_json:
        show_json([asdict(each) for each in found])
        return
    if not found:
        click.echo("no limiter is deployed here; 'zae-limiter deploy' makes one")
        return
    rows = [(each.user_name, each.stack_status, each.version, each.creation_time) for each in found]
    show_table(("name", "status", "version", "created"), rows)
    failed, moving = sum(each.is_failed for each in found), sum(each.is_in_progress for each in found)
    click.echo(f"{len(found)} in all, {failed} failed, {moving} in progress")


@click.command()
@place_options
@json_option
def version(address: str, *, as_json: bool) -> None:
    """Show the versions of this program, of the store's schema and of the aggregator.

    For example: zae-limiter version --name my-app --json
    """
    if address.startswith("dynamodb:"):
        from zae_limiter.schema import SCHEMA_VERSION

        table = TableChoice.at(address)
        record = _record(table.name, table.region, table.endpoint_url)
        data = {"client": __version__, "schema_needed": SCHEMA_VERSION, **record}
    else:
        found = _status_of_file(address)
        data = {"client": __version__, "schema_version": found["schema_version"]}
    _show_fields(data, as_json=as_json)


@click.command()
@place_options
@json_option
def check(address: str, *, as_json: bool) -> None:
    """Tell whether this version may use the store; exits with 3 when it may not.

    For example: zae-limiter check --name my-app
    """
    if address.startswith("dynamodb:"):
        table = TableChoice.at(address)
        name, schema = table.name, _checked_schema(table.name, table.region, table.endpoint_url)
    else:
        name, schema = address, str(_status_of_file(address)["schema_version"])
    if as_json:
        show_json({"client": __version__, "store": name, "schema_version": schema, "may_be_used": True})
    else:
        click.echo(f"zae-limiter {__version__} may use {name!r}, schema {schema}")


def _checked_schema(name: str, region: str | None, endpoint_url: str | None) -> str:
    """The schema of a table that may be used."""
    from zae_limiter.dynamodb.versions import check_version
    from zae_limiter.exceptions import VersionError

    record = _record(name, region, endpoint_url)
    try:
        check_version(record, name)
    except VersionError as error:
        raise Refused(str(error)) from error
    return str(record["schema_version"])


def _record(name: str, region: str | None, endpoint_url: str | None) -> dict[str, Any]:
    repository = open_table(name, region, endpoint_url)
    try:
        found = repository.get_version_record()
    finally:
        repository.close()
    if found is None:
        raise click.ClickException(f"the table {name!r} has no version record; 'zae-limiter deploy' writes it")
    return found


def _shown(value: object) -> object:
    return ("yes" if value else "no") if isinstance(value, bool) else value
