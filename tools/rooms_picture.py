"""Draw the rooms of the package for the documentation, from the imports as they are.

A hook of mkdocs: each build of the site draws `media/rooms.svg`, so the picture cannot be outdated.
Rooms stand on floors, and each arrow is an import. An arrow that follows from others is left out.
"""

import ast
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PACKAGE = "spikeinterface_cloud"
PROGRAMS = ("run_script", "submit_job")

WIDTH, BOX_WIDTH, BOX_HEIGHT, FLOOR = 900, 150, 40, 84

STYLE = """
rect { fill: #f4f6fb; stroke: #4051b5; stroke-width: 1.5 }
.program { fill: #4051b5 }
.program + text { fill: #ffffff; font-weight: bold }
text { font: 15px sans-serif; fill: #1f2433; text-anchor: middle }
line { stroke: #8a93b2; stroke-width: 1.4; marker-end: url(#tip) }
""".strip()

TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto"><path d="M0 0L8 4L0 8z" fill="#8a93b2"/></marker></defs>'
)

Graph = Mapping[str, frozenset[str]]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the picture to the files of the site."""
    picture = draw(without_implied(imports(ROOT)))
    files.append(File.generated(config, "media/rooms.svg", content=picture))
    return files


def imports(root: Path) -> dict[str, frozenset[str]]:
    """Return which rooms each room and each program imports."""
    found: dict[str, set[str]] = {}
    package = root / PACKAGE
    programs = [root / f"{name}.py" for name in PROGRAMS]
    for file in [*programs, *sorted(package.rglob("*.py"))]:
        inside = file.is_relative_to(package)
        room = file.relative_to(package if inside else root).with_suffix("").parts[0]
        if room != "__init__":
            targets = set(_imported_rooms(ast.parse(file.read_text(encoding="utf-8"))))
            found.setdefault(room, set()).update(targets - {room})
    return {room: frozenset(targets & found.keys()) for room, targets in found.items()}


def _imported_rooms(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from _room(node.module)
        elif isinstance(node, ast.Import):
            for name in node.names:
                yield from _room(name.name)


def _room(module: str) -> list[str]:
    package, _, inside = module.partition(".")
    return [inside.partition(".")[0]] if package == PACKAGE and inside else []


def without_implied(graph: Graph) -> dict[str, frozenset[str]]:
    """Return the graph without imports that follow from the others.

    >>> graph = {"top": {"middle", "base"}, "middle": {"base"}, "base": set()}
    >>> without_implied({room: frozenset(targets) for room, targets in graph.items()})["top"]
    frozenset({'middle'})
    """

    def reached(room: str) -> frozenset[str]:
        return graph[room].union(*(reached(target) for target in graph[room]))

    return {
        room: frozenset(
            target
            for target in targets
            if not any(target in reached(other) for other in targets - {target})
        )
        for room, targets in graph.items()
    }


def draw(graph: Graph) -> str:
    """Return the picture of a graph without circles as SVG."""
    floors = _floors(graph)
    centers = _centers(graph, floors)
    height = FLOOR * len(floors) - FLOOR + BOX_HEIGHT + 20
    boxes, arrows = [], []
    for room, (x, floor) in centers.items():
        y = height - 10 - BOX_HEIGHT - floor * FLOOR
        kind = ' class="program"' if room in PROGRAMS else ""
        boxes.append(
            f'<rect{kind} x="{x - BOX_WIDTH / 2:.0f}" y="{y}" width="{BOX_WIDTH}" '
            f'height="{BOX_HEIGHT}" rx="6"/><text x="{x:.0f}" y="{y + 25}">{escape(room)}</text>'
        )
        for target in sorted(graph[room]):
            to, below = centers[target]
            end = height - 12 - BOX_HEIGHT - below * FLOOR
            arrows.append(f'<line x1="{x:.0f}" y1="{y + BOX_HEIGHT}" x2="{to:.0f}" y2="{end}"/>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
            f"<title>Rooms of {PACKAGE}</title><style>{STYLE}</style>{TIP}",
            *arrows,
            *boxes,
            "</svg>",
        ]
    )


def _floors(graph: Graph) -> list[list[str]]:
    """Return the rooms by floor: each room stands above all that it imports."""

    def floor(room: str) -> int:
        return 1 + max((floor(target) for target in graph[room]), default=-1)

    levels = {room: floor(room) for room in graph}
    return [
        sorted(room for room in graph if levels[room] == level)
        for level in range(max(levels.values()) + 1)
    ]


def _centers(graph: Graph, floors: list[list[str]]) -> dict[str, tuple[float, int]]:
    """Return the center and the floor of each room, near those that it imports."""
    centers: dict[str, tuple[float, int]] = {}
    for level, rooms in enumerate(floors):
        wanted = {}
        for room in rooms:
            below = [centers[target][0] for target in graph[room]]
            wanted[room] = sum(below) / len(below) if below else WIDTH / 2
        for place, room in enumerate(sorted(rooms, key=lambda room: wanted[room])):
            centers[room] = (WIDTH * (place + 1) / (len(rooms) + 1), level)
    return centers
