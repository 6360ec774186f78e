"""Who works here: the limiter asks for each request."""

from django.contrib.auth.models import User
from django.http import HttpRequest


def is_staff(request: HttpRequest) -> bool:
    """Whether the user of the session is staff, and so never limited."""
    return isinstance(request.user, User) and request.user.is_staff
