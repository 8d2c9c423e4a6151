"""What every page is made of: template, style with its fonts, scripts, and the policy that allows nothing else."""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from nt_run.chart.packing import Column, pack


def page(body: str, scripts: tuple[str, ...], facts: dict[str, Any], columns: Sequence[Column]) -> str:
    """Return a page.

    Args:
        body: Name of a template of `web` for what stands between its head and its foot.
        scripts: Names of scripts of `web`, in the order in which they are put together.
        facts: What the scripts are told; `title` and `subtitle` name the page.
        columns: Numbers the scripts are given.
    """
    told, packed = pack(columns)
    return fill(
        "frame.html",
        title=html.escape(f"{facts['title']} · {facts['subtitle']}"),
        style=style(),
        theme=read("theme.js"),
        body=read(body),
        facts=facts_text(facts | {"columns": told}),
        columns=packed,
        script=_script(scripts),
    )


def facts_text(facts: dict[str, Any]) -> str:
    """Return facts as JSON that may stand in a page: no text looks like the end of a script or a comment's begin."""
    return json.dumps(facts, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def fill(template: str, **parts: str) -> str:
    """Put texts into a template of `web` in the place of `{{name}}`; none of them is searched for the name of another.

    `style`, `theme` and `script` are what the page's policy allows, by their hashes; all else may not run.
    """
    hashes = {name: _hash(parts[name]) for name in ("style", "theme", "script")}
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; font-src data:; "
        f"style-src {hashes['style']}; script-src {hashes['theme']} {hashes['script']}"
    )
    pieces = read(template).split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, rest = piece.split("}}", 1)
        filled.append((parts | {"policy": policy})[name] + rest)
    return "".join(filled)


def _script(names: tuple[str, ...]) -> str:
    """Return the chart library and scripts of `web`, in their order, as one."""
    own = '"use strict";\n' + "\n".join(read(f"{name}.js") for name in names)
    return f"{read('vendor/lightweight-charts.js')}\n{{\n{own}\n}}"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def style() -> str:
    """Return the style sheet with the bundled font inside."""
    fonts = files("nt_run.chart").joinpath("fonts")
    faces = {
        name: base64.b64encode(fonts.joinpath(f"Inter-{file}.ttf").read_bytes()).decode()
        for name, file in (("regular", "Regular"), ("semibold", "SemiBold"))
    }
    text = read("style.css")
    for name, face in faces.items():
        text = text.replace(f"{{{{{name}}}}}", face)
    return text


@cache
def read(name: str) -> str:
    """Return a text of `web` by its path in there."""
    return files("nt_run.chart").joinpath("web", *name.split("/")).read_text(encoding="utf-8")
