"""What is Django's own; settings can be made once a process, so all of it shares those of `project.py`."""
