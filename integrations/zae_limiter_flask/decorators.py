"""ViewLimit: what `limiter.limit(...)` gives, a decorator of views and a block inside one."""

from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from werkzeug.exceptions import HTTPException

from zae_limiter.sync_lease import SyncLease
from zae_limiter_flask.marks import Mark
from zae_limiter_flask.serving import visit

if TYPE_CHECKING:
    from zae_limiter_flask.extension import ZaeLimiter

T = TypeVar("T")


class ViewLimit:
    """A limit to be put on views, classes of views and blueprints, or around a block: `with limit as lease`.

    A view is charged before it runs, once a request. A block is charged each time it is entered, and its lease ends
    with it.
    """

    __slots__ = ("_extension", "_mark")

    def __init__(self, extension: "ZaeLimiter", mark: Mark) -> None:
        self._extension = extension
        self._mark = mark

    def __call__(self, target: T) -> T:
        """Put the limit on a view, a class of views or a blueprint, which is returned as it was given."""
        self._extension.mark(target, self._mark)
        return target

    def __enter__(self) -> SyncLease:
        return visit().enter_block(self._mark)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        status = error.code if isinstance(error, HTTPException) else None
        visit().leave_block(200 if error is None else status)
