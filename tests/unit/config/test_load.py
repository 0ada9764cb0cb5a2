"""Environments: layers, types, every problem at once, secrets that never show."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pgcohesion.config import Loaded, SecretRef, explain, load
from pgcohesion.config.layers import assignments, merge
from pgcohesion.config.problems import locate
from pgcohesion.config.secrets import generate, resolve
from pgcohesion.errors import ConfigError, UsageError
from pgcohesion.redact import Secret, redact

pytestmark = pytest.mark.unit
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(**files: str) -> Path:
        (tmp_path / "environments").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "environments" / name.replace("__", ".")).write_text(text)
        return tmp_path

    return make


def read(root: Path, env: str = "a", *sets: str, **environ: str) -> Loaded:
    return load(root, env, environ=environ, sets=sets)


def problems(root: Path, env: str = "a", *sets: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(root, env, *sets)
    return [str(problem) for problem in caught.value.problems]


def test_later_layers_win(write: Write) -> None:
    root = write(base__toml='[settings]\nx = "1"\ny = "1"', a__toml='extends = "base"\n[settings]\nx = "2"')
    assert read(root).config.settings == {"x": "2", "y": "1"}
    assert read(root, "a", PGCOHESION__SETTINGS__X="4").config.settings["x"] == "4"
    write(a__env="PGCOHESION__SETTINGS__X=3\n")
    assert read(root).config.settings["x"] == "3"
    assert read(root, "a", "settings.x=5", PGCOHESION__SETTINGS__X="4").config.settings["x"] == "5"


def test_a_folder_that_is_named_from_here_is_known_from_anywhere(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(a__toml="").parent)
    assert read(Path(write().name)).root == write()


def test_explain_shows_each_layer_and_the_winner(write: Write) -> None:
    root = write(base__toml='[settings]\nx = "1"', a__toml='extends = "base"\n\n[settings]\nx = "2"')
    assert list(explain(read(root, "a", "settings.x=5"), "settings.x")) == [
        ("environments/base.toml:2", "1", False),
        ("environments/a.toml:4", "2", False),
        ("command line", "5", True),
    ]
    with pytest.raises(UsageError, match="no key `setings`"):
        list(explain(read(root), "setings"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("protectd = true", "environments/a.toml:1: protectd: unknown key; did you mean `protected`?"),
        ("protected = 1", "environments/a.toml:1: protected: must be true or false, not a whole number"),
        ("[postgresql]\nport = 70000", "environments/a.toml:2: postgresql.port: must be from 1 to 65535"),
        ("[postgresql]\nversion = 9", "postgresql.version: PostgreSQL 14 is the oldest"),
        ('[postgresql]\nsource = "rpm"', "postgresql.source: must be one of embedded, packages"),
        ("[roles.pg_x]", "roles.pg_x: this name belongs to PostgreSQL"),
        ("[roles.postgres]", "roles.postgres: this name belongs"),
        ('[roles."a b"]\nmember_of = ["c"]', 'environments/a.toml:2: roles."a b".member_of.0: there is no role `c`'),
        ("[roles.a]\npassword = {}", "exactly one of"),
        ('[roles.a]\npassword = { env = "X", file = "y" }', "exactly one of"),
        ('[roles.a]\npassword = { env = "X", generate = true }', "only a { file = ... } can be generated"),
        ('[databases.d]\nowner = "o"', "databases.d.owner: there is no role `o`"),
        ('[[databases.d.grants]]\nrole = "r"', "databases.d.grants.0.schema: is missing"),
        ('[hosts.a]\nssh = "x"', "a host over SSH needs"),
        ("[hosts.a]\n[hosts.b]", "hosts: there must be exactly one primary, here are 2"),
        (f'[databases."{"d" * 64}"]', "at most 63 bytes"),
        ('[databases.""]', "must not be empty"),
        ("settings = 3", "settings: must be a table, not a whole number"),
        ("[settings]\nx = [1]", "settings.x: must be true or false or a whole number"),
    ],
)
def test_problems_have_place_key_and_reason(write: Write, text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(write(a__toml=text))), problems(write(a__toml=text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[connections]\nmax_size = 0", "environments/a.toml:2: connections.max_size: must be at least 1"),
        (
            "[connections]\nmin_size = 5\nmax_size = 4",
            "environments/a.toml:3: connections.max_size: must be at least 5",
        ),
        ("[connections]\ntimeout = 0", "environments/a.toml:2: connections.timeout: must be more than 0"),
        ("[monitoring]\ninterval = -1", "environments/a.toml:2: monitoring.interval: must be more than 0"),
        (
            "[connections.breaker]\nwindow = 0",
            "environments/a.toml:2: connections.breaker.window: must be at least 1",
        ),
    ],
)
def test_a_pool_can_give_connections_and_a_call_has_time(write: Write, text: str, expected: str) -> None:
    assert problems(write(a__toml=text)) == [expected]


def test_all_problems_come_at_once_in_order(write: Write) -> None:
    root = write(a__toml='nonsense = 1\n[postgresql]\nport = "x"\n[databases.d]\nowner = "nobody"\n')
    assert [problem.split(":")[1] for problem in problems(root)] == ["1", "3", "5"]
    assert problems(root, "a", "settings=3")[-1].startswith(("command line", "environments"))


@pytest.mark.parametrize(
    "value", ['"hunter2-in-clear"', '{ env = 5, file = "hunter2-in-clear" }', '["hunter2-in-clear"]']
)
def test_a_secrets_value_never_shows(write: Write, value: str) -> None:
    root = write(a__toml=f"[roles.a]\npassword = {value}\n")
    with pytest.raises(ConfigError) as caught:
        read(root)
    shown = "".join(traceback.format_exception(caught.value)) + str(caught.value.as_dict())
    assert "hunter2-in-clear" not in shown


@pytest.mark.parametrize(
    ("files", "kind", "words"),
    [
        ({"a__toml": 'extends = "a"'}, ConfigError, "extends itself"),
        ({"a__toml": 'extends = "b"', "b__toml": 'extends = "a"'}, ConfigError, "extends itself"),
        ({"a__toml": 'extends = "c"'}, ConfigError, "which does not exist"),
        ({"a__toml": "x ="}, ConfigError, "no valid TOML"),
        ({"b__toml": ""}, UsageError, "no environment `a`"),
    ],
)
def test_files_that_cannot_be_used(write: Write, files: dict[str, str], kind: type[Exception], words: str) -> None:
    root = write(**files)
    with pytest.raises(kind, match=words):
        read(root)


def test_words_of_variables_become_types(write: Write) -> None:
    root = write(a__toml="")
    assert read(root, "a", "postgresql.port=5433", "protected=yes").config.postgresql.port == 5433
    assert read(root, "a", "health.disabled=a, b").config.health.disabled == ["a", "b"]
    assert read(root, PGCOHESION__PROTECTED="on").config.protected is True
    with pytest.raises(UsageError, match="has no value"):
        assignments(["settings.x"])


def test_a_reference_replaces_a_reference() -> None:
    below = {"password": {"file": "x", "generate": True}, "login": True}
    assert merge(below, {"password": {"env": "Y"}}) == {"password": {"env": "Y"}, "login": True}


def test_lines_are_found(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('# c\n[a."b c"]\nd = 1\n[[e]]\nf = 1\n[[e]]\nf = 2\n')
    assert locate(path, ("a", "b c", "d")) == 3
    assert locate(path, ("a", "b c", "missing")) == 2
    assert locate(path, ("e", "1", "f")) == 7
    assert locate(path, ("nothing",)) is None


def test_secrets_come_from_env_file_and_command(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("from-a-file\n")

    def value(**ref: object) -> str:
        secret = resolve(SecretRef(**ref), "k", root=tmp_path, variables={"X": "from-env", "PATH": "/usr/bin:/bin"})  # type: ignore[arg-type]
        assert secret is not None
        return secret.reveal()

    assert value(env="X") == "from-env"
    assert value(file="pw") == "from-a-file"
    assert value(command="printf '%s\\n' from-command") == "from-command"
    for ref in ({"env": "Y"}, {"file": "none"}, {"command": "exit 3"}, {"command": "true"}):
        with pytest.raises(ConfigError, match="no value for the secret `k`"):
            value(**ref)


def test_threads_that_generate_a_secret_get_the_same_one(tmp_path: Path) -> None:
    for number in range(50):
        with ThreadPoolExecutor(8) as crew:
            made = list(crew.map(generate, [tmp_path / f"{number}"] * 8))
        assert set(made) == {made[0]}


def test_a_generated_secret_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "pw"
    first = generate(path)
    assert generate(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_threads_that_make_a_secret_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as crew:
        for turn in range(50):
            made = set(crew.map(lambda _, turn=turn: generate(tmp_path / str(turn)).reveal(), range(16)))
            assert len(made) == 1
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    "value", ["plain-secret", "it's", 'quo"te', "back\\slash", "two\nlines-here", "pä$$ wörd", "a b%/@:"]
)
def test_what_was_seen_is_masked_however_it_is_quoted(value: str) -> None:
    import json
    from urllib.parse import quote

    secret = Secret(value)
    assert f"{secret} {secret!r}" == "*** ***"
    for text in (value, json.dumps(value), repr(value), quote(value, safe=""), value.replace("'", "''")):
        for part in value.splitlines():
            if len(part) >= 4:
                assert part not in redact(f"before {text} after")
