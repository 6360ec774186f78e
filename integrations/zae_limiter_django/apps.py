"""The application as Django loads it: registers the checks, and follows changes of the setting."""

from django.apps import AppConfig
from django.core.signals import setting_changed


class ZaeLimiterConfig(AppConfig):
    """`"zae_limiter_django"` in INSTALLED_APPS."""

    name = "zae_limiter_django"
    label = "zae_limiter"
    verbose_name = "Rate limits"

    def ready(self) -> None:
        """Called once the applications are loaded."""
        from zae_limiter_django import checks, conf  # the checks import what needs loaded applications

        checks.register_all()
        # A module-level function: Django keeps receivers weakly.
        setting_changed.connect(conf.forget, dispatch_uid="zae_limiter")
