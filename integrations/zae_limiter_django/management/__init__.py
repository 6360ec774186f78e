"""What `manage.py` runs."""
