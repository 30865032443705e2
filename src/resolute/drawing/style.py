"""How a picture looks: colours for light and dark, fonts, line styles, and the icons."""

from __future__ import annotations

from typing import Final

from resolute.drawing.graph import EdgeKind, GroupKind, VertexKind
from resolute.drawing.shape import CODE, DETAIL, EDGE, LABEL, TITLE

_SANS: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
_MONO: Final = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace'

#: Colour of each kind's icon and rim, light and dark.
ACCENTS: Final[dict[VertexKind | GroupKind, tuple[str, str]]] = {
    "start": ("#15803d", "#4ade80"),
    "end": ("#15803d", "#4ade80"),
    "node": ("#2563eb", "#6ba6ff"),
    "page": ("#be123c", "#fb7185"),
    "fallback": ("#b45309", "#fbbf24"),
    "undo": ("#6b7280", "#9ca3af"),
    "decision": ("#4f46e5", "#a5b4fc"),
    "sleep": ("#7c3aed", "#b794f6"),
    "gate": ("#c2410c", "#fb923c"),
    "children": ("#0f766e", "#2dd4bf"),
    "advance": ("#4d7c0f", "#a3e635"),
    "loop": ("#7c3aed", "#b794f6"),
    "each": ("#0f766e", "#2dd4bf"),
    "parallel": ("#2563eb", "#6ba6ff"),
    "failure": ("#b91c1c", "#f87171"),
}

#: Fill of the shapes that are no cards, light and dark.
_TINTS: Final[dict[VertexKind | GroupKind, tuple[str, str]]] = {
    "start": ("#f1fbf4", "#0f2018"),
    "end": ("#f1fbf4", "#0f2018"),
    "decision": ("#f4f4ff", "#181a33"),
    "gate": ("#fff7f1", "#25180f"),
}

#: Lines in a square of 16 by 16.
ICONS: Final[dict[VertexKind | GroupKind, str]] = {
    "node": "M9 1.5 3.5 9H8l-1 5.5L12.5 7H8z",
    "page": "M8 2a4 4 0 0 1 4 4c0 3.6 1.5 5 1.5 5h-11S4 9.6 4 6a4 4 0 0 1 4-4zM6.6 13.3a1.6 1.6 0 0 0 2.8 0",
    "fallback": "M1.5 4.5h4l4.5 7h4M11.5 9l2.5 2.5-2.5 2.5",
    "undo": "M5.5 2.5l-3 3 3 3M2.5 5.5h7a4 4 0 0 1 0 8H6",
    "sleep": "M8 1.75a6.25 6.25 0 1 0 0 12.5 6.25 6.25 0 0 0 0-12.5zM8 4.5V8l2.5 1.6",
    "gate": "M8 1.75a6.25 6.25 0 1 0 0 12.5 6.25 6.25 0 0 0 0-12.5zM5.2 8.2l2 2 3.7-4.2",
    "children": "M2 2h7v7H2zM7 12v2h7V7h-2",
    "advance": "M4 2h8v12l-4-3-4 3z",
    "loop": "M13.2 8a5.2 5.2 0 1 1-1.6-3.7M13.4 1.8v3h-3",
    "each": "M2.5 4h11M2.5 8h11M2.5 12h11",
    "parallel": "M5 2.5v11M11 2.5v11",
    "failure": "M8 2.2 14.4 13.4H1.6zM8 6.4v3.2M8 11.3v.3",
}

#: Class of a part → what is the same everywhere, then what is light, then what is dark.
_RULES: Final[dict[str, tuple[str, str, str]]] = {
    "canvas": ("", "fill:#ffffff", "fill:#0d1117"),
    "frame": (
        "fill-opacity:.05;stroke-opacity:.45;stroke-width:1.25",
        "fill:#475569;stroke:#64748b",
        "fill:#94a3b8;stroke:#94a3b8",
    ),
    "rule": ("stroke-opacity:.25;stroke-width:1", "stroke:#64748b", "stroke:#94a3b8"),
    "card": ("stroke-width:1.25", "fill:#ffffff;stroke:#b8c0cc", "fill:#161b22;stroke:#475160"),
    "tile": ("fill-opacity:.12;stroke:none", "", ""),
    "icon": ("fill:none;stroke-width:1.5;stroke-linecap:round;stroke-linejoin:round", "", ""),
    "line": ("fill:none;stroke-width:1.5;stroke-linejoin:round", "stroke:#6b7686", "stroke:#8b96a5"),
    "head": ("stroke:none", "fill:#6b7686", "fill:#8b96a5"),
    "label": (f"font:600 {LABEL.size}px {_SANS}", "fill:#1c2430", "fill:#e6edf3"),
    "detail": (f"font:{DETAIL.size}px {_SANS}", "fill:#586374", "fill:#9aa5b3"),
    "code": (f"font:{CODE.size}px {_MONO}", "fill:#1c2430", "fill:#e6edf3"),
    "title": (f"font:600 {TITLE.size}px {_SANS}", "fill:#1c2430", "fill:#e6edf3"),
    "note": (f"font:{EDGE.size}px {_SANS}", "fill:#4b5666", "fill:#b3bdc9"),
}


#: Edge kind → whose colour it has, and its dashes.
_EDGES: Final[dict[EdgeKind, tuple[VertexKind | GroupKind, str]]] = {
    "failure": ("fallback", "6 4"),
    "undo": ("undo", "2 3"),
    "again": ("loop", ""),
}
_RIMMED: Final = ("start", "end", "decision", "gate", "fallback", "undo", "failure")
_OUTLINES: Final = {"failure": "frame"}
_DASHED: Final[dict[str, str]] = {"fallback": "6 4", "undo": "2 3"}


def style_sheet(scope: str, kinds: set[VertexKind | GroupKind], edges: set[EdgeKind]) -> str:
    """The rules for vertices, groups and edges of these kinds inside the element with this id."""
    rules: list[tuple[str, str, str, str]] = [(f".{name}", *rule) for name, rule in _RULES.items()]
    for kind in sorted(kinds):
        day, night = ACCENTS[kind]
        rules.append((f".{kind} .tile", "", f"fill:{day}", f"fill:{night}"))
        rules.append((f".{kind} .icon", "", f"stroke:{day}", f"stroke:{night}"))
        if kind in _RIMMED:
            dashes = f"stroke-dasharray:{_DASHED[kind]}" if kind in _DASHED else ""
            rules.append((f".{kind} .{_OUTLINES.get(kind, 'card')}", dashes, f"stroke:{day}", f"stroke:{night}"))
        if kind in _TINTS:
            day, night = _TINTS[kind]
            rules.append((f".{kind} .card", "", f"fill:{day}", f"fill:{night}"))
    for edge, (source, dashes) in _EDGES.items():
        if edge in edges:
            day, night = ACCENTS[source]
            both = f"stroke-dasharray:{dashes}" if dashes else ""
            rules.append((f".to-{edge} .line", both, f"stroke:{day}", f"stroke:{night}"))
            rules.append((f".to-{edge} .head", "", f"fill:{day}", f"fill:{night}"))
    light = [
        f"#{scope} {selector}{{{';'.join(filter(None, (both, day)))}}}"
        for selector, both, day, _ in rules
        if both or day
    ]
    dark = [f"#{scope} {selector}{{{night}}}" for selector, _, _, night in rules if night]
    return "\n".join([*light, "@media (prefers-color-scheme:dark){", *dark, "}"])
