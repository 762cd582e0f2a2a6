"""Nothing that comes from outside is ever evaluated, unpickled or given to a shell: looked up in the source itself."""

from __future__ import annotations

import ast
import functools
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "jupyter_queueserver"

#: Names that run or unpack what they are given, as they are written in the source.
NAMES = {"eval", "exec", "compile", "__import__", "execfile"}
MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "xmlrpc", "telnetlib", "ftplib"}
ATTRIBUTES = {
    ("os", "system"),
    ("os", "popen"),
    ("os", "execv"),
    ("os", "spawnl"),
    ("subprocess", "getoutput"),
    ("yaml", "load"),
    ("yaml", "unsafe_load"),
    ("yaml", "full_load"),
    ("numpy", "load"),
    ("builtins", "eval"),
    ("builtins", "exec"),
}
#: Functions that start a program.
STARTERS = {"run", "Popen", "call", "check_call", "check_output"}
#: Where it has to be, with its reason.
PERMITTED = {
    ("worker/loader.py", "exec"): "running the users' startup code is what the worker is for",
    ("worker/loader.py", "compile"): "as above",
    ("worker/task_work.py", "exec"): "running an uploaded script is what the method is for; it needs the right to execute",
    ("worker/task_work.py", "compile"): "as above",
    ("link/lists.py", "yaml.load"): "with a safe loader only: the name of the loader is checked below",
}


def uses(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in NAMES:
                yield node.func.id
            starts = isinstance(node.func, ast.Attribute) and node.func.attr in STARTERS
            for keyword in node.keywords:
                is_off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if starts and keyword.arg == "shell" and not is_off:
                    yield "shell="
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in ATTRIBUTES:
                yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            named = [module] if module else [alias.name for alias in node.names]
            yield from (name for name in named if name and name.split(".")[0] in MODULES)


@functools.lru_cache(maxsize=1)
def trees() -> tuple[tuple[str, ast.Module], ...]:
    paths = sorted(SOURCE.rglob("*.py"))
    return tuple((path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in paths)


def test_the_look_finds_what_it_looks_for() -> None:
    text = "eval(x)\nimport pickle\nsubprocess.run(x, shell=True)\nos.system(x)\nyaml.load(x)\nfrom marshal import loads\n"
    assert sorted(uses(ast.parse(text))) == ["eval", "marshal", "os.system", "pickle", "shell=", "yaml.load"]


def test_nothing_is_evaluated() -> None:
    found = {(name, use) for name, tree in trees() for use in uses(tree)}
    assert found <= PERMITTED.keys(), found - PERMITTED.keys()


def test_yaml_is_read_with_safe_loaders_only() -> None:
    loaders = {
        node.attr
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.endswith("Loader") and isinstance(node.value, ast.Name)
    }
    loaders |= {
        node.value
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith("Loader")
    }
    assert {name for name in loaders if "Safe" not in name} == set()


def test_ruffs_rules_of_safety_hold_for_the_whole_package() -> None:
    """All of S; exceptions stand in the line where they are needed, with their reason."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in settings["select"]
    assert [rule for rule in settings["ignore"] if rule.startswith("S") and rule[1:].isdigit()] == ["S101"]
    for pattern, rules in settings["per-file-ignores"].items():
        if not pattern.startswith(("tests/", "examples/", "benchmarks/")):
            assert not [rule for rule in rules if rule.startswith("S") and rule[1:].isdigit()], pattern
    for path in sorted(SOURCE.rglob("*.py")):
        lines = ["", *path.read_text(encoding="utf-8").splitlines()]
        for number, line in enumerate(lines):
            _, mark, said = line.partition("# noqa: S")
            if mark and said[:1].isdigit():
                above = lines[number - 1].strip()
                assert " - " in said or above.startswith("#"), f"{path}:{number}: an exception without reason"


def is_narrowing(test: ast.expr) -> bool:
    """Whether it tells the type checker what is so anyway: what it is an instance of, that it is there, or which case it is."""
    if isinstance(test, ast.BoolOp):
        return all(map(is_narrowing, test.values))
    if isinstance(test, ast.Call):
        return isinstance(test.func, ast.Name) and test.func.id == "isinstance"
    return isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is | ast.IsNot)


def test_nothing_is_checked_by_an_assert() -> None:
    """They vanish with `python -O`."""
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assert) and name != "testing.py":
                assert is_narrowing(node.test), f"{name}:{node.lineno}: {ast.unparse(node)}"
