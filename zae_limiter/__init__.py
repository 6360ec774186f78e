"""Rate limiting on token buckets: several limits at once, all or nothing, with leases that can be adjusted."""

__version__ = "0.1.0"
