"""Draw the layout of the package for the development page, from its imports.

Rows are those of ``tests/test_layers.py``; arrows are imports between rooms, without
those that follow from others. Rooms are placed as in Gansner et al. (1993): long
arrows get a place in each row that they pass, rows are ordered for few crossings, and
columns are chosen, by linear programming, for short and straight arrows.
"""

import ast
import itertools
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Curve
from scipy.optimize import linprog

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "deepcr_ccd"
#: In units of 0.01 inch: of a box, between rows, and of an arrow that passes a row.
WIDTH, HEIGHT, STEP, GAP, LANE = 166, 74, 104, 12, 12


def read_rows() -> list[list[str]]:
    """Return the rooms of each row, from the top."""
    tree = ast.parse((ROOT / "tests" / "test_layers.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "ROWS":
            rows = [sorted(rooms) for rooms in ast.literal_eval(node.value)]
            rows = [[r for r in rooms if not r.startswith("__")] for rooms in rows]
            return [rooms for rooms in rows if rooms]
    raise ValueError("tests/test_layers.py has no ROWS")


def read_room(room: str) -> tuple[str, set[str]]:
    """Return the first sentence about a room, and the rooms that it imports."""
    folder = PACKAGE / room
    paths = sorted(folder.rglob("*.py")) or [folder.with_suffix(".py")]
    found = set()
    for path in paths:
        here = path.relative_to(PACKAGE).parts[:-1]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                above = here[: len(here) + 1 - node.level]
                names = [*above, *(node.module or "").split(".")]
                names = [name for name in names if name]
                found |= {names[0]} if names else {a.name for a in node.names}
    top = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    words = ast.get_docstring(ast.parse(top.read_text(encoding="utf-8")))
    return words.split("\n\n")[0].replace("`", "").replace("\n", " "), found - {room}


def reduce(imports: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Return the imports that do not follow from others."""
    below = {}
    for room in reversed(imports):
        below[room] = set(imports[room]).union(*(below[r] for r in imports[room]))
    return [
        (room, other)
        for room, others in imports.items()
        for other in sorted(others)
        if not any(other in below[third] for third in others)
    ]


def split(
    rows: list[list[str]], arrows: list[tuple[str, str]]
) -> tuple[list[list], list[list]]:
    """Return the rows with a place for each arrow that passes, and the arrows' ways."""
    row_of = {room: i for i, rooms in enumerate(rows) for room in rooms}
    layers, ways = [list(rooms) for rooms in rows], []
    for start, end in arrows:
        between = range(row_of[start] + 1, row_of[end])
        ways.append([start, *((start, end, i) for i in between), end])
        for i in between:
            layers[i].append((start, end, i))
    return layers, ways


def count_crossings(layers: list[list], links: list[list[tuple]], row: int) -> int:
    """Count the crossings of the arrows above and below a row."""
    total = 0
    for i in range(max(row - 1, 0), min(row + 1, len(layers) - 1)):
        places = [(layers[i].index(a), layers[i + 1].index(b)) for a, b in links[i]]
        total += sum(
            (a - c) * (b - d) < 0
            for (a, b), (c, d) in itertools.combinations(places, 2)
        )
    return total


def order(layers: list[list], ways: list[list]) -> list[list]:
    """Return the rows ordered so that few arrows cross."""
    row_of = {node: i for i, layer in enumerate(layers) for node in layer}
    links = [[] for _ in layers]
    for pair in itertools.chain.from_iterable(map(itertools.pairwise, ways)):
        links[row_of[pair[0]]].append(pair)
    rng = np.random.default_rng(0)
    least, best = np.inf, layers
    for _ in range(20):
        layers = [[layer[i] for i in rng.permutation(len(layer))] for layer in layers]
        improved = True
        while improved:
            improved = False
            for row, layer in enumerate(layers):
                now = count_crossings(layers, links, row)
                for i, j in itertools.combinations(range(len(layer)), 2):
                    layer[i], layer[j] = layer[j], layer[i]
                    then = count_crossings(layers, links, row)
                    if then < now:
                        now, improved = then, True
                    else:
                        layer[i], layer[j] = layer[j], layer[i]
        total = sum(count_crossings(layers, links, row) for row in range(len(layers)))
        if total < least:
            least, best = total, layers
    return best


def place(layers: list[list], ways: list[list]) -> tuple[dict, float]:
    """Return the middle of each room, and of each place on a way, and the width."""
    nodes = list(itertools.chain.from_iterable(layers))
    number = {node: i for i, node in enumerate(nodes)}
    pairs = list(itertools.chain.from_iterable(map(itertools.pairwise, ways)))
    passing = [sum(isinstance(node, tuple) for node in pair) for pair in pairs]
    # Unknown are the columns, the length of each arrow's part, and the width of all.
    cost = np.r_[np.zeros(len(nodes)), np.array([1, 2, 8])[passing], 4]
    rows, limits = [], []

    def limit(most, *terms):
        rows.append(np.zeros(len(cost)))
        limits.append(most)
        for column, factor in terms:
            rows[-1][column] = factor

    for i, (a, b) in enumerate(pairs, len(nodes)):
        limit(0, (number[a], 1), (number[b], -1), (i, -1))
        limit(0, (number[a], -1), (number[b], 1), (i, -1))
    for layer in layers:
        half = {n: (LANE if isinstance(n, tuple) else WIDTH) / 2 for n in layer}
        for a, b in itertools.pairwise(layer):
            limit(-(half[a] + half[b] + GAP), (number[a], 1), (number[b], -1))
        limit(-half[layer[0]], (number[layer[0]], -1))
        limit(-half[layer[-1]], (number[layer[-1]], 1), (len(cost) - 1, -1))
    solution = linprog(cost, A_ub=np.array(rows), b_ub=limits, bounds=(0, None)).x
    return dict(zip(nodes, solution, strict=False)), solution[-1]


def draw_layout(path: Path) -> None:
    """Write the figure.

    Parameters
    ----------
    path : `~pathlib.Path`
        Such as ``layout.svg``.
    """
    rows = read_rows()
    rooms = {room: read_room(room) for layer in rows for room in layer}
    imports = {room: others & set(rooms) for room, (_, others) in rooms.items()}
    layers, ways = split(rows, reduce(imports))
    layers = order(layers, ways)
    column, width = place(layers, ways)
    row_of = {node: i for i, layer in enumerate(layers) for node in layer}
    height = STEP * (len(rows) - 1) + HEIGHT

    figure = Figure(figsize=(width / 100, height / 100))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-2, width + 2), ylim=(height + 2, -2))
    axes.set_axis_off()
    for i in range(0, len(rows), 2):
        axes.axhspan(
            i * STEP - (STEP - HEIGHT) / 2,
            i * STEP + (STEP + HEIGHT) / 2,
            color="#f3f3f3",
            linewidth=0,
        )
    for way in ways:
        draw_arrow(axes, [(column[node], row_of[node] * STEP) for node in way])
    for room, (words, _) in rooms.items():
        draw_room(axes, room, words, column[room], row_of[room] * STEP)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(
        path, dpi=100, metadata={"Date": None} if path.suffix == ".svg" else {}
    )


def draw_room(axes, room: str, words: str, x: float, y: float) -> None:
    """Draw the box of a room: folders in blue, modules in white."""
    folder = (PACKAGE / room).is_dir()
    box = FancyBboxPatch(
        (x - WIDTH / 2, y),
        WIDTH,
        HEIGHT,
        boxstyle="round,pad=0,rounding_size=5",
        facecolor="#dce9f5" if folder else "white",
        edgecolor="#44607a",
        linewidth=0.9,
    )
    axes.add_patch(box)
    name = f"{room}/" if folder else f"{room}.py"
    axes.text(x, y + 12, name, ha="center", va="center", size=10, weight="bold")
    lines = textwrap.wrap(
        words.rstrip("."), 26, max_lines=4, break_on_hyphens=False, placeholder=" ..."
    )
    axes.text(
        x,
        y + 46,
        "\n".join(lines),
        ha="center",
        va="center",
        size=7.6,
        linespacing=1.1,
    )


def draw_arrow(axes, points: list[tuple[float, float]]) -> None:
    """Draw an arrow from below a box, through places in rows, to the top of another."""
    x, y = points[0]
    vertices, codes = [(x, y + HEIGHT)], [Curve.MOVETO]
    for x, y in points[1:]:
        x0, y0 = vertices[-1]
        middle = (y0 + y) / 2
        vertices += [(x0, middle), (x, middle), (x, y)]
        codes += [Curve.CURVE4] * 3
        if (x, y) != points[-1]:
            vertices.append((x, y + HEIGHT))
            codes.append(Curve.LINETO)
    arrow = FancyArrowPatch(
        path=Curve(vertices, codes),
        arrowstyle="-|>,head_length=5,head_width=2.5",
        color="#44607a",
        linewidth=0.9,
        shrinkA=0,
        shrinkB=0,
    )
    axes.add_patch(arrow)


if __name__ == "__main__":
    draw_layout(Path("layout.svg"))
