"""A shop: pages for sessions, an API for tokens, an export that costs what it sends."""
