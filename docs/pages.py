"""Pages that are made from the code when the site is built: the data dictionary, and the pages of the API."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import neuroattn
from neuroattn.experiments.columns import FINDINGS, STATISTICS, SYNTHETIC, Column
from neuroattn.experiments.run import protocol_named, protocols
from neuroattn.statistics import summary

PACKAGE = Path(__file__).resolve().parents[1] / "neuroattn"
# Groups of the API whose names stand in modules: page → title, packages and modules.
GROUPS = {
    "interventions": ("Interventions", ("recording.interventions",)),
    "stimuli": ("Stimuli", ("stimuli.mnist", "stimuli.digits", "stimuli.bars", "stimuli.scenes", "stimuli.cutouts")),
    "subjects": ("Subjects", ("subjects.subject", "subjects.fields", "subjects.planted")),
    "models": ("Models", ("models.gated", "models.trial", "models.config", "models.controls", "models.probe")),
    "statistics": ("Statistics", ("statistics",)),
    "protocols": (
        "What protocols are made of",
        tuple(f"experiments.{name}" for name in ("protocol", "finding", "columns", "contrast", "pairs", "layers")),
    ),
}


def write_pages(folder: Path) -> None:
    """Write the generated pages; those that are as they were stay untouched, so that they are not read again."""
    pages = {"data-dictionary.md": data_dictionary(), "package.rst": package()}
    pages |= {f"{page}.rst": modules(title, names) for page, (title, names) in GROUPS.items()}
    folder.mkdir(exist_ok=True)
    for name, text in pages.items():
        file = folder / name
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def data_dictionary() -> str:
    """Return the tables of columns in Markdown."""
    parts = []
    for name in protocols():
        rows = (*protocol_named(name).columns, SYNTHETIC)
        parts.append(f"## units.parquet of {name}\n\n{_table(rows)}")
    where = {name: [protocol for protocol in protocols() if name in _statistics(protocol)] for name in _names()}
    text = "One row an estimate. The last column says which protocols have it.\n\n"
    parts.append(f"## statistics.csv\n\n{text}{_table(STATISTICS, where)}")
    text = "One record a claim, in JSON. A name with a dot is a field of the records in `rests_on`.\n\n"
    parts.append(f"## findings.json\n\n{text}{_table(FINDINGS)}")
    return "\n\n".join(parts) + "\n"


def _names() -> list[str]:
    return [column.name for column in STATISTICS]


def _statistics(protocol: str) -> list[str]:
    """Return the columns of statistics that a protocol has."""
    if (PACKAGE / "experiments" / protocol / "summary.py").is_file():
        own = importlib.import_module(f"neuroattn.experiments.{protocol}.summary")
        return [*own.COLUMNS, SYNTHETIC.name]
    return [*summary.COLUMNS, SYNTHETIC.name]


def _table(columns: tuple[Column, ...], where: dict[str, list[str]] | None = None) -> str:
    lines = ["| column | unit | meaning |", "|---|---|---|"]
    if where is not None:
        lines = [f"{line} {end}" for line, end in zip(lines, ("protocols |", "---|"), strict=True)]
    for name, unit, meaning in columns:
        cells = [f"`{name}`", unit, meaning.replace("|", "\\|").replace('""', '`""`')]
        if where is not None:
            cells.append("all" if where[name] == protocols() else ", ".join(f"`{found}`" for found in where[name]))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def package() -> str:
    """Return the page of the names of the package itself, which its stub lists."""
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    names = [node.names[0].name for node in stub.body if isinstance(node, ast.ImportFrom) and node.module is not None]
    return _page("neuroattn", [("neuroattn", name) for name in names])


def modules(title: str, names: tuple[str, ...]) -> str:
    """Return the page of modules, or of all modules of packages."""
    paths = []
    for name in names:
        found = importlib.import_module(f"neuroattn.{name}")
        below = pkgutil.iter_modules(getattr(found, "__path__", []))
        paths += [f"neuroattn.{name}.{one.name}" for one in below if not one.ispkg] or [f"neuroattn.{name}"]
    return _page(title, [(path, public) for path in paths for public in _public(path)])


def _public(path: str) -> list[str]:
    """Return the functions and classes that a module documents, in their order, but those of the package."""
    module = importlib.import_module(path)
    own = [
        (inspect.getsourcelines(value)[1], name)
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == path
        and value.__doc__
        and getattr(neuroattn, name, None) is not value
    ]
    return [name for _, name in sorted(own)]


def _page(title: str, names: list[tuple[str, str]]) -> str:
    rule = "=" * len(title)
    lines, before = [title, rule, ""], "neuroattn"
    for path, name in names:
        module = importlib.import_module(path)
        if path != before:
            lines += [path, "-" * len(path), "", (module.__doc__ or "").partition("\n")[0], ""]
            before = path
        is_class = inspect.isclass(getattr(module, name))
        lines += [f".. auto{'class' if is_class else 'function'}:: {path}.{name}"]
        lines += [*(["   :members:"] if is_class else []), ""]
    return "\n".join(lines) + "\n"
