"""One file an environment -> frozen typed values that know where they came from."""

from __future__ import annotations

from .layers import Layer, names
from .load import Loaded, bare, explain, load
from .model import Config, Connections, Database, Grant, HbaRule, Host, Monitoring, Role, Scalar, SecretRef
from .problems import Problem

__all__ = [
    "Config",
    "Connections",
    "Database",
    "Grant",
    "HbaRule",
    "Host",
    "Layer",
    "Loaded",
    "Monitoring",
    "Problem",
    "Role",
    "Scalar",
    "SecretRef",
    "bare",
    "explain",
    "load",
    "names",
]
