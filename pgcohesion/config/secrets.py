"""Secret references -> values. A value is remembered for masking the moment it is known."""

from __future__ import annotations

import os
import secrets
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..errors import ConfigError
from ..redact import Secret
from .model import SecretRef

COMMAND_TIMEOUT = 60.0


def resolve(ref: SecretRef, key: str, *, root: Path, variables: Mapping[str, str]) -> Secret | None:
    """Return the secret, or None when its generated file does not exist yet.

    One trailing newline of a file or of a command's output is dropped.
    Raises ConfigError, naming the key and the reference but never a value.
    """
    if ref.env is not None:
        if not variables.get(ref.env):
            raise _missing(key, ref, f"the variable `{ref.env}` is not set", f"set {ref.env}")
        return Secret(variables[ref.env])
    if ref.file is not None:
        return _from_file(ref, key, path_of(ref, root))
    return _from_command(ref, key, root, variables)


def path_of(ref: SecretRef, root: Path) -> Path:
    """Return the file of a ``{ file = ... }`` reference; relative paths start at the repo's root."""
    assert ref.file is not None
    return root / Path(ref.file).expanduser()


def _from_file(ref: SecretRef, key: str, path: Path) -> Secret | None:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        if ref.generate:
            return None
        raise _missing(key, ref, "there is no such file", f"create {ref.file} with mode 0600") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _missing(key, ref, str(error), "make the file readable, as UTF-8 text") from error
    if not text.removesuffix("\n"):
        raise _missing(key, ref, "the file is empty", f"put the secret into {ref.file}")
    return Secret(text.removesuffix("\n"))


def _from_command(ref: SecretRef, key: str, root: Path, variables: Mapping[str, str]) -> Secret:
    assert ref.command is not None
    try:
        done = subprocess.run(  # noqa: S602  (the operator's own command, from the repo's file)
            ref.command,
            shell=True,
            cwd=root,
            env=dict(variables),
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=COMMAND_TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        raise _missing(key, ref, f"it did not end within {COMMAND_TIMEOUT:.0f} s", "run it by hand") from error
    value = done.stdout.removesuffix("\n")
    if done.returncode or not value:
        why = done.stderr.strip() or f"exit status {done.returncode}, {len(value)} characters"
        raise _missing(key, ref, why, "run it by hand")
    return Secret(value)


def _missing(key: str, ref: SecretRef, why: str, fix: str) -> ConfigError:
    return ConfigError(f"no value for the secret `{key}` = {ref}", why=why, fix=fix)


def generate(path: Path) -> Secret:
    """Write a new random secret to *path* (mode 0600) unless it exists, and return what stands there."""
    with suppress(FileNotFoundError):
        return Secret(path.read_text("utf-8").removesuffix("\n"))
    path.parent.mkdir(parents=True, exist_ok=True)
    value = secrets.token_urlsafe(24)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(value + "\n")
    try:
        os.link(aside, path)  # unlike a rename, it never replaces a secret that another run has made
    except FileExistsError:
        value = path.read_text("utf-8").removesuffix("\n")
    finally:
        aside.unlink()
    return Secret(value)
