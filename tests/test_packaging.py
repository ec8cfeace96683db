"""What an installation gets: pinned versions, declared dependencies, a wheel that carries the bundles."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
INSTALL = ROOT / "scripts" / "install.sh"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


def _declared() -> list[Requirement]:
    """All that pyproject.toml asks for, the extras and the build included."""
    lists = [PROJECT["project"]["dependencies"], PROJECT["build-system"]["requires"], *EXTRAS.values()]
    return [Requirement(line) for requirements in lists for line in requirements]


@pytest.fixture(scope="module")
def pins() -> dict[str, Version]:
    """Versions of constraints.txt by normalized name."""
    pinned: dict[str, Version] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", line)
        assert match, f"constraints.txt: '{line}' is not NAME==VERSION; write it with `make constraints`"
        name = canonicalize_name(match[1])
        assert name not in pinned, f"{name} is pinned twice"
        pinned[name] = Version(match[2])
    return pinned


def _needed() -> Iterator[tuple[str, Requirement]]:
    """Every requirement of the environment that the declared ones lead to, with who asks for it."""
    waiting = [("pyproject.toml", requirement) for requirement in _declared()]
    seen: set[str] = set()
    while waiting:
        asking, requirement = waiting.pop()
        yield asking, requirement
        for extra in ("", *sorted(requirement.extras)):
            key = f"{canonicalize_name(requirement.name)}[{extra}]"
            if key in seen:
                continue
            seen.add(key)
            try:
                lines = metadata.requires(requirement.name) or []
            except metadata.PackageNotFoundError:
                continue  # an extra that this environment leaves out
            for line in lines:
                child = Requirement(line)
                if child.marker is None or child.marker.evaluate({"extra": extra}):
                    waiting.append((requirement.name, child))


def test_constraints_pin_the_whole_environment(pins: dict[str, Version]) -> None:
    needed = list(_needed())
    missing = {f"{r.name} (for {asking})" for asking, r in needed if canonicalize_name(r.name) not in pins}
    assert not missing, f"not in constraints.txt: {sorted(missing)}; run `make constraints`"
    refused = {f"{asking}: {r}" for asking, r in needed if pins[canonicalize_name(r.name)] not in r.specifier}
    assert not refused, f"constraints.txt pins what is not allowed: {sorted(refused)}"
    assert len(needed) > 100


def test_the_environment_is_the_pinned_one(pins: dict[str, Version]) -> None:
    other = {}
    for name in {canonicalize_name(requirement.name) for _, requirement in _needed()}:
        try:
            installed = Version(metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
        if installed.public != pins[name].public:
            other[name] = f"{installed}, not {pins[name]}"
    assert not other, f"installed in another version than pinned: {other}"


def test_what_is_imported_is_declared() -> None:
    declared = {canonicalize_name(requirement.name) for requirement in _declared()} - {"hatchling"}
    distributions = metadata.packages_distributions()
    undeclared: dict[str, str] = {}
    for path in sorted((ROOT / "nephro_monai").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for top in {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {"nephro_monai"}:
                if not declared & {canonicalize_name(name) for name in distributions.get(top, [])}:
                    undeclared[top] = path.relative_to(ROOT).as_posix()
    assert not undeclared, f"imported, but not among the dependencies of pyproject.toml: {undeclared}"


def _build(target: str, folder: Path) -> Path:
    """Builds with the environment's own hatchling, so that nothing is fetched."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def unpacked_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with what a wheel puts into site-packages."""
    wheel = _build("wheel", tmp_path_factory.mktemp("wheel"))
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_carries_bundles_and_package_data(unpacked_wheel: Path) -> None:
    def files(folder: Path) -> dict[str, int]:
        found = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        return {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}

    assert files(unpacked_wheel / "nephro_monai" / "bundles") == files(ROOT / "bundles")
    package = {k: v for k, v in files(unpacked_wheel / "nephro_monai").items() if not k.startswith("bundles/")}
    assert package == files(ROOT / "nephro_monai")
    assert "py.typed" in package
    (information,) = unpacked_wheel.glob("*.dist-info")
    assert "nephro = nephro_monai.cli.main:" in (information / "entry_points.txt").read_text(encoding="utf-8")
    assert (information / "licenses" / "LICENSE").is_file()


def test_the_wheel_finds_its_own_bundles(unpacked_wheel: Path, tmp_path: Path) -> None:
    script = "from nephro_monai.engine import find_bundle, list_bundles; print(*map(find_bundle, list_bundles()))"
    environment = os.environ | {"PYTHONPATH": str(unpacked_wheel)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    folders = [Path(text) for text in done.stdout.split()]
    assert "nephro_cascade" in {folder.name for folder in folders}
    assert {folder.parent for folder in folders} == {(unpacked_wheel / "nephro_monai" / "bundles").resolve()}


def test_the_source_distribution_builds_the_same_wheel(tmp_path: Path) -> None:
    with tarfile.open(_build("sdist", tmp_path)) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    needed = {"constraints.txt", "hatch_build.py", "Makefile", "scripts/install.sh", "tests/test_packaging.py"}
    assert needed <= names
    bundles = {path.relative_to(ROOT).as_posix() for path in (ROOT / "bundles").rglob("*") if path.is_file()}
    assert bundles <= names


@pytest.mark.parametrize("arguments", [[], ["--extras"], ["--unknown", "there"], ["one", "two"]], ids=str)
def test_install_script_refuses_wrong_use(arguments: list[str]) -> None:
    done = subprocess.run(["bash", str(INSTALL), *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "usage: scripts/install.sh" in done.stderr


def test_install_script_refuses_an_old_python(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit 0\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    done = subprocess.run(
        ["bash", str(INSTALL), str(tmp_path / "venv")],
        env=os.environ | {"PYTHON": str(old)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "is Python 3.9.2" in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_lists_its_targets() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    for target in ("demo", "test", "lint", "weights", "evaluate-phantom", "clean"):
        assert re.search(rf"^  make {target} +\w", done.stdout, flags=re.MULTILINE), target


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_fresh_environment_runs_nephro_from_elsewhere(tmp_path: Path, pins: dict[str, Version]) -> None:
    """The steps of docker/Dockerfile; they reach the package index, or uv's cache of it."""
    assert "scripts/install.sh /opt/nephro" in (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    fresh = tmp_path / "a fresh environment"
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["PYTHON"] = sys.executable

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1700)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("bash", str(INSTALL), str(fresh))
    assert "predict" in run(str(fresh / "bin" / "nephro"), "--help")
    script = "import torch, nephro_monai.engine as e; print(torch.__version__, *map(e.find_bundle, e.list_bundles()))"
    version, *bundles = run(str(fresh / "bin" / "python"), "-c", script).replace(str(fresh), "FRESH").split()
    assert Version(version).public == str(pins["torch"])
    assert {Path(text).name for text in bundles} == {
        path.parents[1].name for path in (ROOT / "bundles").glob("*/configs/metadata.json")
    }
    assert all(text.startswith("FRESH") for text in bundles)
