"""The house's measures: small modules, short functions, names that say something."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "nt_run"
MODULES = sorted(SOURCE.rglob("*.py"))
MODULE_LINES, FUNCTION_LINES, COMMAND_LINES = 300, 40, 15
VAGUE = {"utils", "helpers", "common", "core", "manager", "misc"}


def length(function: ast.FunctionDef) -> int:
    """Lines of a function without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_modules_are_small_and_functions_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MODULE_LINES
    if path.name == "cli.py":
        return
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    assert {node.name: length(node) for node in functions if length(node) > FUNCTION_LINES} == {}


def test_commands_parse_call_and_show() -> None:
    # A command's options are its arguments; its body is what counts.
    tree = ast.parse((SOURCE / "cli.py").read_text(encoding="utf-8"))
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        statements = function.body[1:] if len(function.body) > 1 else function.body
        assert (function.end_lineno or 0) - statements[0].lineno + 1 <= COMMAND_LINES, function.name


def test_names_say_something() -> None:
    assert not VAGUE & {path.stem for path in MODULES}
