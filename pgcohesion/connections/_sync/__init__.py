"""Made by `python tools/sync.py` from ``_async``."""
