"""Examines an application: whose it is, what its reader finds, and what is to be said of it."""

import importlib
import inspect
import os
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from traceback import extract_tb
from typing import Any, Final

from zae_limiter.exceptions import ValidationError, ZAELimiterError
from zae_limiter_http.doctor.coverage import route_report
from zae_limiter_http.doctor.findings import findings
from zae_limiter_http.doctor.report import Report
from zae_limiter_http.doctor.subject import Reader, Subject

GROUP: Final = "zae_limiter.readers"


def installed_readers() -> list[Reader]:
    """The readers that the installed framework packages offer; those whose framework is absent are left out."""
    readers: list[Reader] = []
    for offered in entry_points(group=GROUP):
        try:
            readers.append(offered.load())
        except ImportError:
            continue
    return readers


def examine(application: Any = None, *, workers: int | None = None, readers: Sequence[Reader] | None = None) -> Report:
    """Examine an application; without one, the Django project that DJANGO_SETTINGS_MODULE names.

    `workers` is the number of processes it is served by; WEB_CONCURRENCY if it is not given. Nothing is written and
    no store is opened. Raises `ValidationError` for what no installed package can read.
    """
    subject = _read(application, installed_readers() if readers is None else readers)
    settings = subject.settings
    routes = () if settings is None else tuple(route_report(route, settings) for route in subject.routes)
    found = findings(subject, routes, workers=workers if workers is not None else _workers())
    return Report(subject.framework, _store(subject), routes, tuple(found))


def _read(application: Any, readers: Iterable[Reader]) -> Subject:
    for reader in readers:
        subject = reader(application)
        if subject is not None:
            return subject
    if application is None:
        raise ValidationError("application", "", "name one as module:name, or set DJANGO_SETTINGS_MODULE")
    raise ValidationError(
        "application",
        type(application).__qualname__,
        "must be an application of Starlette, FastAPI, Litestar, Quart, Flask or Django whose package is installed",
    )


def _store(subject: Subject) -> str | None:
    if subject.settings is None:
        return None
    if subject.settings.store is None and subject.settings.limiter is not None:
        limiter = subject.settings.limiter
        return str(getattr(getattr(limiter, "repository", None), "address", "made by the application"))
    return subject.settings.store


def _workers() -> int | None:
    told = os.environ.get("WEB_CONCURRENCY", "")
    return int(told) if re.fullmatch("[0-9]{1,6}", told) else None


def read(target: str | None, *, workers: int | None) -> Report:
    """Examine what `module:name` names, or what `module:make()` returns; modules of the current folder are found.

    Without a target the Django project is examined. Raises `ValidationError` for what is not there or cannot be read,
    whatever the application itself has raised.
    """
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return examine(_imported(target) if target else None, workers=workers)
    except ZAELimiterError:
        raise
    # An application that ends the program when it is imported has not been examined, whatever code it ends with.
    except (Exception, SystemExit) as error:
        named = target or os.environ.get("DJANGO_SETTINGS_MODULE", "")
        raise ValidationError("application", named, f"cannot be read: {_told(error, folder)}") from error


def _told(error: BaseException, folder: str) -> str:
    """An error on one line, with the last line of the application's own that led to it."""
    kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
    inside = f"{folder}{os.sep}"
    # An environment of its own often lies in the folder of a project.
    frames = [
        frame
        for frame in extract_tb(error.__traceback__)
        if frame.filename.startswith(inside) and "site-packages" not in frame.filename
    ]
    place = f", at {Path(frames[-1].filename).relative_to(folder)} line {frames[-1].lineno}" if frames else ""
    return f"{kind}{' '.join(str(error).split())}{place}"


def _imported(target: str) -> Any:
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise ValidationError("application", target, "write it as module:name, such as myapp:app or myapp:make()")
    found: Any = importlib.import_module(module_name)
    for part in name.removesuffix("()").split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise ValidationError("application", target, f"there is no such name: {error}") from error
    found = found() if name.endswith("()") else found
    if inspect.iscoroutine(found):
        found.close()
        raise ValidationError("application", target, "is made on an event loop; name a function that makes it without")
    if found is None:
        raise ValidationError("application", target, "is None, no application")
    return found
