"""What a table's stream tells, written down: use of tokens by window, and audit events that expired.

Runs as the stack's Lambda function (`handler.py`), or reads the stream itself (`stream.py`).
"""
