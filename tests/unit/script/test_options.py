"""Options: from annotations to values, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

import pgcohesion as pg
from pgcohesion.errors import UsageError


class Base(pg.Script):
    """Share an option."""

    quick: bool = False


class Sample(Base):
    """Have one of each."""

    role: str
    many: int = pg.arg(1000, help="how many")
    share: float = 0.5
    loud: bool = True
    to: Path = Path("out.sql")
    form: Literal["copy", "insert"] = "copy"
    level: Literal[1, 2] | None = None
    after: str | None = None
    tables: list[str] = pg.arg([], help="which")
    sizes: list[int] = []  # noqa: RUF012  (copied for each script)
    colour: str = pg.arg("red", choices=("red", "blue"))
    KIND: ClassVar[str] = "no option"
    timeout = 5
    retries: ClassVar[int] = 2
    _own: int = 3


def test_options_are_the_annotated_attributes_bases_first() -> None:
    names = ["quick", "role", "many", "share", "loud", "to", "form", "level", "after", "tables", "sizes", "colour"]
    assert list(Sample.options()) == names
    assert Sample.options()["many"].text == "how many (default: 1000)"
    assert Sample.options()["form"].text == "(copy or insert; default: copy)"
    assert Sample.options()["role"].flag == "ROLE"


def test_defaults_stand_for_what_is_not_given() -> None:
    script: Any = Sample(role="app")
    assert (script.role, script.many, script.share, script.loud, script.to) == ("app", 1000, 0.5, True, Path("out.sql"))
    assert (script.level, script.after, script.tables, script.quick) == (None, None, [], False)
    script.tables.append("x")
    assert Sample(role="app").tables == []


GOOD: dict[str, list[Any]] = {
    "many": [("7", 7), (7, 7), ("-1", -1), ("1_000", 1000)],
    "share": [("0.25", 0.25), (1, 1.0)],
    "loud": [("no", False), ("TRUE", True), (False, False)],
    "to": [("a/b", Path("a/b")), (Path("c"), Path("c"))],
    "form": [("insert", "insert")],
    "level": [("2", 2), (1, 1), (None, None)],
    "after": [("", ""), ("x", "x"), (None, None)],
    "tables": [(["a", "b"], ["a", "b"]), (("a",), ["a"])],
    "sizes": [(["1", 2], [1, 2])],
    "colour": [("blue", "blue")],
}
BAD: dict[str, list[Any]] = {
    "many": ["x", "1.5", "", True, None, 1.5],
    "share": ["much", "nan", "inf", None],
    "loud": ["maybe", 1],
    "to": [""],
    "form": ["csv", 1],
    "level": ["3", "high"],
    "tables": ["a", [1], None],
    "sizes": [["x"]],
    "colour": ["green"],
    "role": [1, None],
}


@pytest.mark.parametrize(("name", "given", "made"), [(n, g, m) for n, pairs in GOOD.items() for g, m in pairs])
def test_good_values(name: str, given: Any, made: Any) -> None:
    found = getattr(Sample(**{"role": "app", name: given}), name)
    assert found == made
    assert type(found) is type(made)


@pytest.mark.parametrize(("name", "given"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_value_is_one_line_with_a_fix(name: str, given: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Sample(**{"role": "app", name: given})
    assert "\n" not in caught.value.what
    assert Sample.options()[name].flag in caught.value.what
    assert caught.value.fix
    assert caught.value.exit_code == 2


def test_an_unknown_option_gets_a_suggestion_and_a_missing_one_its_name() -> None:
    with pytest.raises(UsageError, match=r"`script.sample` has no option `tabels`") as unknown:
        Sample(role="app", tabels=[])
    assert "did you mean `tables`?" in unknown.value.fix
    with pytest.raises(UsageError, match=r"`script.sample` needs ROLE"):
        Sample()


def test_an_annotation_that_no_command_line_can_give_is_a_bug_of_the_script() -> None:
    class Odd(pg.Script):
        """Want a dict."""

        table: dict[str, int] = {}  # noqa: RUF012

    class Bare(pg.Script):
        """Want a flag without default."""

        loud: bool

    class Taken(pg.Script):
        """Hide `--json`."""

        json: bool = False

    class Hides(pg.Script):
        """Hide a method."""

        run: str = "x"  # type: ignore[assignment]

    for cls in (Odd, Bare, Taken, Hides):
        with pytest.raises(TypeError, match=cls.__name__):
            cls.options()


def test_names_have_dashes() -> None:
    def name_of(name: str) -> str:
        made: type[pg.Script] = type(name, (pg.Script,), {})
        return made.name

    names = {name_of(name) for name in ("KillIdle", "ExportCSV", "CSVExport", "Seed", "Seed2")}
    assert names == {"kill-idle", "export-csv", "csv-export", "seed", "seed2"}


def test_a_script_changes_when_it_has_steps_or_says_so() -> None:
    class Reads(pg.Script):
        """Read."""

        def run(self, ctx: pg.ScriptContext) -> None: ...

    class Steps(pg.Script):
        """Change."""

        def steps(self, ctx: pg.ScriptContext) -> list[pg.Change]:
            return []

    class Says(Reads):
        """Change by itself."""

        changes = True

    class Heir(Steps):
        """Change as its base does."""

    assert [cls.changes for cls in (Reads, Steps, Says, Heir)] == [False, True, True, True]
    assert [cls.resumable for cls in (Reads, Steps)] == [False, False]
