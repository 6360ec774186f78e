"""The aggregator: what it makes of records, and how it is driven by a real stream."""
