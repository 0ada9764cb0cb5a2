"""One file an environment -> frozen typed values that know where they came from."""

from __future__ import annotations

from .layers import Layer, names
from .load import Loaded, explain, load
from .model import Config, Database, Grant, HbaRule, Host, Role, Scalar, SecretRef
from .problems import Problem

__all__ = [
    "Config",
    "Database",
    "Grant",
    "HbaRule",
    "Host",
    "Layer",
    "Loaded",
    "Problem",
    "Role",
    "Scalar",
    "SecretRef",
    "explain",
    "load",
    "names",
]
