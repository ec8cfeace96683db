"""The house rules that a machine can check: sizes, names, walls, what may stand in a tracked file."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nephro_monai

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "nephro_monai"
MODULES = sorted(PACKAGE.rglob("*.py"))
BUNDLES = sorted(path.parents[1] for path in (ROOT / "bundles").glob("*/configs/metadata.json"))

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50
MAX_WEIGHT_FILE_BYTES = 25_000_000
MAX_WEIGHTS_BYTES = 200_000_000
README_SECTIONS = (
    "Overview", "Data", "Training", "Input", "Output", "Performance", "Commands", "Deviations from the paper",
    "Limitations", "References", "License",
)  # fmt: skip
VAGUE_NAMES = re.compile(r"(^|_)(util|utils|helper|helpers|misc|common|manager|managers)($|_)")
# Written in pieces, so that this file does not hold what it looks for.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("download", "pytorch", "org"),
        ("npmjs", "org"),
        ("anaconda", "org"),
        ("nvcr", "io"),
    ]
)


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _imports(path: Path) -> Iterator[str]:
    """Full names of all that a module imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function from its name to its end, without the docstring."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - docstring


@pytest.fixture(scope="module")
def tracked_files() -> list[Path]:
    """Files that git tracks or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("needs git and a git checkout")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_files_are_short() -> None:
    files = [*MODULES, *(ROOT / "tests").rglob("*.py")]
    long = {_relative(f): n for f in files if (n := len(f.read_text(encoding="utf-8").splitlines())) > MAX_FILE_LINES}
    assert not long, f"over {MAX_FILE_LINES} lines: {long}"


def test_functions_are_short() -> None:
    long = {
        f"{_relative(path)}::{node.name}": _code_lines(node)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _code_lines(node) > MAX_FUNCTION_LINES
    }
    assert not long, f"over {MAX_FUNCTION_LINES} lines: {long}"


def test_names_say_what_is_inside() -> None:
    vague = [_relative(path) for path in MODULES if VAGUE_NAMES.search(path.stem)]
    vague += [_relative(path) for path in PACKAGE.rglob("*") if path.is_dir() and VAGUE_NAMES.search(path.name)]
    assert not vague


def test_modules_declare_what_they_offer() -> None:
    silent = []
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assigned = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        if tree.body[1:] and "__all__" not in assigned and path.name != "__main__.py":
            silent.append(_relative(path))
    assert not silent, f"without __all__: {silent}"


def test_walls_that_import_linter_cannot_see() -> None:
    for path in MODULES:
        place = path.relative_to(PACKAGE)
        for name in _imports(path):
            if name.startswith("torchvision.models.detection"):
                assert place == Path("networks/faster_rcnn.py"), f"{place} imports {name}"
            if name.startswith(("pytorch_lightning", "lightning")) and place.parts[0] == "data":
                assert "module" in place.stem, f"{place} imports {name}; only the data modules may"


def test_no_registry_address_and_no_path_of_this_machine(tracked_files: list[Path]) -> None:
    forbidden = (*REGISTRY_HOSTS, str(ROOT), "/" + "work/")
    found = []
    for path in tracked_files:
        content = path.read_bytes()
        found += [f"{_relative(path)}: {text}" for text in forbidden if text.encode() in content]
    assert not found


def test_no_lock_file_is_tracked(tracked_files: list[Path]) -> None:
    assert not [_relative(path) for path in tracked_files if path.name.endswith(".lock")]


def test_changelog_has_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\]", changelog, flags=re.MULTILINE)
    assert nephro_monai.__version__ in headings[:2], f"CHANGELOG.md starts with {headings[:2]}"


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_bundles_are_complete(bundle: Path) -> None:
    needed = ["LICENSE", "configs/inference.json", "configs/logging.conf", "configs/full_size.json", "docs/README.md"]
    needed += ["docs/data_license.txt"]
    if bundle.name != "nephro_cascade":  # it has no network and no training of its own
        needed += [f"configs/{name}.json" for name in ("train", "evaluate", "multi_gpu_train")]
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    if not metadata["trained_on"].startswith("nothing yet"):
        needed += [] if bundle.name == "nephro_cascade" else ["models/model.pt", "models/SHA256SUMS"]
    missing = [name for name in needed if not (bundle / name).is_file() or (bundle / name).stat().st_size < 10]
    assert not missing, f"{bundle.name} lacks {missing}"
    if metadata["trained_on"].startswith("nothing yet"):
        assert not (bundle / "models").exists(), "weights are there: say in metadata.json what trained them"
        assert "No weights ship" in (bundle / "docs" / "README.md").read_text(encoding="utf-8")
    assert metadata["version"] in metadata["changelog"]
    assert not (bundle / "scripts").exists(), "parts belong into the package"


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_bundle_readmes_are_in_the_model_zoos_order(bundle: Path) -> None:
    headings = re.findall(r"^## (.+)$", (bundle / "docs" / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    untrained = {"Data", "Training", "Deviations from the paper"} if bundle.name == "nephro_cascade" else set()
    assert headings == [name for name in README_SECTIONS if name not in untrained]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_targets_are_no_modules(bundle: Path) -> None:
    """A function that its room exports under its module's own name: which of the two is found depends on Python."""
    for config in sorted((bundle / "configs").glob("*.json")):
        targets = re.findall(r'"_target_": "(nephro_monai\.[\w.]+)"', config.read_text(encoding="utf-8"))
        modules = [name for name in targets if (ROOT / Path(*name.split("."))).with_suffix(".py").is_file()]
        assert not modules, f"{config.name}: {modules}; rename the function"


def test_every_folder_of_bundles_is_a_bundle() -> None:
    assert [path.name for path in sorted((ROOT / "bundles").iterdir()) if path.is_dir()] == [b.name for b in BUNDLES]


def test_shipped_weights_are_small(tracked_files: list[Path]) -> None:
    sizes = {_relative(path): path.stat().st_size for path in tracked_files if path.suffix == ".pt"}
    assert sizes, "no weights are tracked"
    assert max(sizes.values()) < MAX_WEIGHT_FILE_BYTES, sizes
    assert sum(sizes.values()) < MAX_WEIGHTS_BYTES, sizes


def test_help_needs_neither_torch_nor_numpy() -> None:
    script = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "monai", "numpy", "pytorch_lightning", "scipy", "SimpleITK", "itk"}:
            raise ImportError(f"{name} was imported")

sys.meta_path.insert(0, Refuse())
import nephro_monai, nephro_monai.constants, nephro_monai.errors, nephro_monai.structures
import typer
from typer.testing import CliRunner
from nephro_monai.cli.main import app

names = list(typer.main.get_command(app).commands)
assert {"predict", "phantom", "train"} <= set(names), names
for arguments in [[], *([name] for name in names)]:
    result = CliRunner().invoke(app, [*arguments, "--help"])
    assert result.exit_code == 0 and "Usage" in result.output, (arguments, result.output, result.exception)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
