"""What only the embedded store does: opening a file, faults of it, usage by the hour."""
