"""The source of the manager's two faces: `python tools/sync.py` makes ``_sync`` from this folder."""
