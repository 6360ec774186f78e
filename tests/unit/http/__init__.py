"""Tests of what the frameworks share, a file a module."""
