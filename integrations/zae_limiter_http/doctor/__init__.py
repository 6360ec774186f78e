"""The doctor: which limits apply to each route of an application, and what is wrong with the set-up.

Framework packages offer readers of their applications as entry points of the group `zae_limiter.readers`.
"""

from zae_limiter_http.doctor.examination import examine
from zae_limiter_http.doctor.report import AppliedRule, Finding, Report, RouteReport
from zae_limiter_http.doctor.subject import FoundRoute, Reader, Subject

__all__ = ["AppliedRule", "Finding", "FoundRoute", "Reader", "Report", "RouteReport", "Subject", "examine"]
