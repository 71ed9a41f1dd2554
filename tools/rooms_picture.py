"""Draw the rooms of the package for the documentation, from the imports as they are.

`make reference` writes it; a test fails while `media/rooms.svg` is another. Rooms stand on floors,
and each arrow is an import. An arrow that follows from others is left out.
"""

import ast
from collections.abc import Iterator, Mapping
from html import escape
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "spikeinterface_cloud"
PROGRAMS = ("run_script", "submit_job")

WIDTH, BOX_WIDTH, BOX_HEIGHT, FLOOR, PASSAGE = 900, 150, 40, 84, 20

STYLE = """
rect { fill: #f4f6fb; stroke: #4051b5; stroke-width: 1.5 }
.program { fill: #4051b5 }
.program + text { fill: #ffffff; font-weight: bold }
text { font: 15px sans-serif; fill: #1f2433; text-anchor: middle }
polyline { fill: none; stroke: #8a93b2; stroke-width: 1.4; marker-end: url(#tip) }
""".strip()

TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto"><path d="M0 0L8 4L0 8z" fill="#8a93b2"/></marker></defs>'
)

Graph = Mapping[str, frozenset[str]]

#: a room, or the floor where the arrow between two rooms passes others
Place = str | tuple[str, str, int]


def rooms_picture() -> str:
    """Return the picture as SVG."""
    return draw(without_implied(imports(ROOT))) + "\n"


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
    height = FLOOR * max(floors.values()) + BOX_HEIGHT + 20
    boxes, arrows = [], []
    for room, targets in graph.items():
        x, y = centers[room], height - 10 - BOX_HEIGHT - floors[room] * FLOOR
        kind = ' class="program"' if room in PROGRAMS else ""
        boxes.append(
            f'<rect{kind} x="{x - BOX_WIDTH / 2:.0f}" y="{y}" width="{BOX_WIDTH}" '
            f'height="{BOX_HEIGHT}" rx="6"/><text x="{x:.0f}" y="{y + 25}">{escape(room)}</text>'
        )
        for target in sorted(targets):
            points: list[tuple[float, float]] = [(x, y + BOX_HEIGHT)]
            for floor in range(floors[room] - 1, floors[target], -1):
                middle = height - 10 - BOX_HEIGHT / 2 - floor * FLOOR
                points += [(centers[room, target, floor], middle + side) for side in (-20, 20)]
            points.append((centers[target], height - 12 - BOX_HEIGHT - floors[target] * FLOOR))
            path = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
            arrows.append(f'<polyline points="{path}"/>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
            f"<title>Rooms of {PACKAGE}</title><style>{STYLE}</style>{TIP}",
            *arrows,
            *boxes,
            "</svg>",
        ]
    )


def _floors(graph: Graph) -> dict[str, int]:
    """Return the floor of each room: each room stands above all that it imports."""

    def floor(room: str) -> int:
        return 1 + max((floor(target) for target in graph[room]), default=-1)

    return {room: floor(room) for room in graph}


def _centers(graph: Graph, floors: Mapping[str, int]) -> dict[Place, float]:
    """Return where each room, and each arrow that passes a floor, is: near what it leads to."""
    leads_to: dict[Place, list[Place]] = {}
    for room, targets in graph.items():
        leads_to[room] = []
        for target in targets:
            passed = [
                (room, target, floor) for floor in range(floors[room] - 1, floors[target], -1)
            ]
            chain: list[Place] = [room, *passed, target]
            for place, following in pairwise(chain):
                leads_to.setdefault(place, []).append(following)
    centers: dict[Place, float] = {}
    for level in range(max(floors.values()) + 1):
        places = [
            place
            for place in leads_to
            if (floors[place] if isinstance(place, str) else place[2]) == level
        ]
        wanted = {
            place: sum(centers[each] for each in below) / len(below) if below else WIDTH / 2
            for place, below in ((place, leads_to[place]) for place in places)
        }
        places.sort(key=lambda place: (wanted[place], str(place)))
        widths = [BOX_WIDTH if isinstance(place, str) else PASSAGE for place in places]
        gap = (WIDTH - sum(widths)) / (len(places) + 1)
        left = gap
        for place, width in zip(places, widths, strict=True):
            centers[place] = left + width / 2
            left += width + gap
    return centers
