"""The tests: a folder a kind, so that what they share is imported by a full name."""
