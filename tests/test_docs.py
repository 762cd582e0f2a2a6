"""The documentation keeps up with the code: codes, options, links, code blocks, names of files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_queueserver.api import methods
from jupyter_queueserver.core.changes import AnyChange
from jupyter_queueserver.manager.option_table import OPTIONS

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "jupyter_queueserver"
PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "labextension" / "README.md",
]
#: Rooms whose codes a client can meet.  A refusal of the worker is handed on with the worker's own code.
ROOMS = ("core", "api", "storage", "link", "manager", "gateway", "worker")
#: Pictures that are made by a real run and may be missing in a fresh tree.
MADE = {"docs/images/demo.png"}

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"^```(\S*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^[a-z]+(_[a-z]+)*$")


def texts_of(node: ast.expr | None) -> Iterator[str]:
    """String literals that an expression may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts_of(node.body)
        yield from texts_of(node.orelse)


def codes_of(tree: ast.Module) -> Iterator[str]:
    """Codes of refusals: ``code=...`` of a call, ``code: str = ...`` of a function, ``code = ...`` of a class,
    ``"code": ...`` of a dictionary."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "code":
                    yield from texts_of(keyword.value)
        elif isinstance(node, ast.ClassDef):
            for statement in node.body:
                if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "code":
                    yield from texts_of(statement.value)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "code":
                    yield from texts_of(value)
        elif isinstance(node, ast.arguments):
            for argument, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
                if argument.arg == "code":
                    yield from texts_of(default)


def used_codes() -> dict[str, str]:
    """Every code in the source, and a file that uses it."""
    from jupyter_queueserver.gateway.refusals import _FALLBACK, _FOREIGN

    found = {code: "gateway/refusals.py" for code, _ in (*_FOREIGN.values(), _FALLBACK)}
    for room in ROOMS:
        for path in sorted((SOURCE / room).rglob("*.py")):
            for code in codes_of(ast.parse(path.read_text(encoding="utf-8"))):
                found.setdefault(code, str(path.relative_to(SOURCE)))
    return found


def written_codes(text: str) -> set[str]:
    """Codes in the first column of the tables of a page."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def test_every_code_of_a_refusal_is_written_down() -> None:
    used = used_codes()
    assert {"item_invalid", "no_answer", "store_owned", "wrong_nonce"} <= used.keys()
    assert all(_CODE.fullmatch(code) for code in used)
    written = written_codes((ROOT / "docs/reference/errors.md").read_text(encoding="utf-8"))
    missing = {code: where for code, where in used.items() if code not in written}
    assert not missing, f"docs/reference/errors.md lacks {missing}"
    assert not written - used.keys(), "docs/reference/errors.md has codes that nothing uses"


def test_every_option_is_written_down() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    for option in OPTIONS:
        for word in (*option.flags, option.config, *option.variables):
            assert not word or f"`{word}`" in page, f"docs/reference/settings.md lacks {word}"


def test_every_trait_of_the_extension_is_written_down() -> None:
    tree = ast.parse((SOURCE / "gateway/extension.py").read_text(encoding="utf-8"))
    extension = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    traits = [
        statement.targets[0].id
        for statement in extension.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Attribute)
        and statement.value.func.attr == "tag"
    ]
    assert "startup_dir" in traits
    page = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    assert not [name for name in traits if f"`{name}`" not in page]


def test_every_change_is_written_down() -> None:
    page = (ROOT / "docs/reference/events.md").read_text(encoding="utf-8")
    names = [kind.__struct_config__.tag for kind in AnyChange.__args__]
    assert "queue_inserted" in names
    assert not [name for name in names if f"`{name}`" not in page]


def test_number_of_methods_is_true() -> None:
    for page in ("README.md", "CHANGELOG.md", "docs/how-to/attach-clients.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        told = re.search(r"(?:Of the 50 methods of the interface, (\d+)|(\d+) of the 50 methods)", text)
        assert told is not None, page
        assert int(told[1] or told[2]) == sum(not method.ours for method in methods().values()), page


def anchors_of(page: Path) -> set[str]:
    """Anchors of a page's headings, as usual renderers make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.replace("`", "")) for heading in headings]
    return {heading.strip().lower().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    for link in _LINK.findall(_BLOCK.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), f"{link} leaves the project"
        assert target.exists() or str(target.relative_to(ROOT)) in MADE, f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors_of(target), f"{link}: there is no such heading"


def test_every_page_is_reached_from_the_index() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "docs/index.md", ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        links = [link.partition("#")[0] for link in _LINK.findall(page.read_text(encoding="utf-8"))]
        targets = [(page.parent / link).resolve() for link in links if link.endswith(".md") and ":" not in link]
        waiting.extend(target for target in targets if target.exists())
    assert not set((ROOT / "docs").rglob("*.md")) - seen


def blocks(language: str) -> list[tuple[str, str, str]]:
    """(where, attributes, text) of every block of a language."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            if match[1] == language:
                line = text.count("\n", 0, match.start()) + 1
                found.append((f"{page.relative_to(ROOT)}:{line}", match[2].strip(), match[3]))
    return found


def test_python_blocks_compile_and_their_imports_exist() -> None:
    """Every block compiles; of one marked ``run-in-test`` all that it takes from this package exists."""
    import importlib

    marked = 0
    for where, attributes, text in blocks("python"):
        tree = ast.parse(text, filename=where)
        if attributes != "run-in-test":
            continue
        marked += 1
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jupyter_queueserver"):
                module = importlib.import_module(node.module or "")
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{where}: {node.module} has no {alias.name}"
    assert marked


def test_json_and_yaml_blocks_are_such() -> None:
    import json

    import yaml

    for where, _, text in blocks("json"):
        try:
            json.loads(text)
        except ValueError as err:
            pytest.fail(f"{where}: {err}")
    for where, _, text in blocks("yaml"):
        assert isinstance(yaml.safe_load(text), dict), where


def test_commands_of_qserver_exist() -> None:
    """Each ``qserver`` line in a shell block begins with words of the command line."""
    known = {words for method in methods().values() for words, _ in method.commands}
    lines = [
        (where, line)
        for language in ("sh", "console")
        for where, _, text in blocks(language)
        for line in text.splitlines()
        if re.match(r"(\$ )?qserver [a-z]", line)
    ]
    assert lines
    for where, line in lines:
        words = line.removeprefix("$ ").removeprefix("qserver ")
        assert any(f"{words} ".startswith(f"{name} ") for name in known), f"{where}: {line}"


def test_no_path_of_a_machine_is_written_down() -> None:
    for page in [*PAGES, *sorted((ROOT / "examples").rglob("*.py"))]:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])/(work|root|home)/", text), page
