"""A flow as Mermaid text: a `flowchart TD` that GitHub, GitLab and most wikis draw by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, assert_never

from resolute.drawing.graph import Choice, Edge, EdgeKind, Graph, Group, Series, Stage, Vertex, VertexKind, with_helpers

#: The signs round the label of each kind of vertex.
_SHAPES: Final[dict[VertexKind, tuple[str, str]]] = {
    "start": ("([", "])"),
    "end": ("([", "])"),
    "node": ("[", "]"),
    "page": ("[", "]"),
    "fallback": ("[", "]"),
    "undo": ("[", "]"),
    "decision": ("{", "}"),
    "sleep": ("(", ")"),
    "gate": ("{{", "}}"),
    "children": ("[[", "]]"),
    "advance": ("[(", ")]"),
}
_ARROWS: Final[dict[EdgeKind, str]] = {"normal": "-->", "again": "-->", "failure": "-.->", "undo": "-.->"}
_CLASSES: Final = {"fallback": "stroke-dasharray: 5 3", "undo": "stroke-dasharray: 2 2"}
_INDENT: Final = "    "
_PLAIN: Final = frozenset(" ,()=/?'")
_NAMED: Final = {'"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;"}
#: What Mermaid would read as a list, an emphasis or a heading of Markdown.
_MARKDOWN: Final = re.compile(r"(?<!\w)_|_(?!\w)|^[-+](?=\s)|(?<=\d)\.(?=\s)")
#: What Mermaid takes for a formula or an icon even so, with a sign of no width put in between.
_PARTED: Final = (("#36;#36;", "#36;#8203;#36;"), ("#58;fa-", "#58;#8203;fa-"))


def mermaid(graph: Graph) -> str:
    """The graph as the text of a Mermaid flowchart, ending with a line break."""
    lines = ["flowchart TD", *_series(graph.series, _INDENT)]
    if graph.failure is not None:
        lines += _group(graph.failure, _INDENT)
    frames = {group.id for group in graph.groups()}
    lines += [_edge(edge) for edge in graph.edges if _can_be_drawn(edge, frames)]
    used = {vertex.kind for vertex in graph.vertices()}
    lines += [f"{_INDENT}classDef {name} {style}" for name, style in _CLASSES.items() if name in used]
    return "\n".join(lines) + "\n"


def _series(series: Series, indent: str) -> Iterator[str]:
    for part in series:
        match part:
            case Stage():
                yield from (indent + _vertex(stage.vertex) for stage in with_helpers(part))
            case Choice():
                yield indent + _vertex(part.vertex)
                yield from _series(part.yes, indent)
                yield from _series(part.no, indent)
            case Group():
                yield from _group(part, indent)
            case _:
                assert_never(part)


def _group(group: Group, indent: str) -> Iterator[str]:
    caption = f"{group.label}: {group.caption}" if group.label else group.caption
    yield f'{indent}subgraph {group.id}["{_text(caption)}"]'  # a second line would lie on what the frame holds
    yield f"{indent}{_INDENT}direction TB"
    for lane in group.lanes:
        yield from _series(lane, indent + _INDENT)
    yield f"{indent}end"


def _vertex(vertex: Vertex) -> str:
    before, after = _SHAPES[vertex.kind]
    mark = f":::{vertex.kind}" if vertex.kind in _CLASSES else ""
    lines = [vertex.label, *vertex.detail]
    if vertex.kind == "decision":
        lines.reverse()  # a name that the author gave stands above the test
    return f'{vertex.id}{before}"{_text(*lines)}"{after}{mark}'


def _edge(edge: Edge) -> str:
    label = f'|"{_text(edge.label)}"|' if edge.label else ""
    return f"{_INDENT}{edge.source} {_ARROWS[edge.kind]}{label} {edge.target}"


def _can_be_drawn(edge: Edge, frames: set[str]) -> bool:
    """Mermaid draws no edge between a frame and what it holds, nor from a frame to itself; the frame says it all."""
    return edge.kind in _ARROWS and not (edge.source == edge.target and edge.source in frames)


def _text(*lines: str) -> str:
    """The lines as one label between quotes, every sign in it taken literally; empty ones are left out."""
    return "<br/>".join(_escaped(line) for text in lines for line in text.splitlines() if line.strip()) or " "


def _escaped(line: str) -> str:
    """One line with every sign that means something to Mermaid, Markdown or HTML as an entity."""
    special = {found.start() for found in _MARKDOWN.finditer(line)}
    signs = [sign if place not in special and _is_plain(sign) else _entity(sign) for place, sign in enumerate(line)]
    text = "".join(signs)
    for found, parted in _PARTED:
        text = text.replace(found, parted)
    return text


def _is_plain(sign: str) -> bool:
    return sign.isalnum() or sign in _PLAIN or sign in "_-+." or (ord(sign) > 127 and sign.isprintable())


def _entity(sign: str) -> str:
    if not sign.isprintable():  # also half a surrogate pair, which no file can hold
        return " " if sign.isspace() else sign.encode("unicode_escape").decode("ascii").replace("\\", "#92;")
    return _NAMED.get(sign, f"#{ord(sign)};")
