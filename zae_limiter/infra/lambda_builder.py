"""The aggregator's deployment package: its modules and those they import, and nothing else.

The same sources give the same bytes. Packages of others are not in it: what runs on Lambda has boto3 there.
"""

import ast
import io
import zipfile
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

_ROOT: Final = "zae_limiter"
_ENTRY: Final = "zae_limiter.aggregator.handler"
HANDLER: Final = "index.handler"
_INDEX: Final = f'"""The entry of the function."""\n\nfrom {_ENTRY} import handler\n\n__all__ = ["handler"]\n'
# The oldest time that a zip can tell, so that the day of building is in no byte.
_WHEN: Final = (1980, 1, 1, 0, 0, 0)
_READABLE: Final = 0o644 << 16


def build_lambda_package() -> bytes:
    """The package as a zip, byte for byte the same for the same sources."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, text in sorted(_contents().items()):
            entry = zipfile.ZipInfo(name, _WHEN)
            entry.create_system = 3
            entry.external_attr = _READABLE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    return package.getvalue()


def write_lambda_package(output_path: str | Path) -> int:
    """Write the package to a file; its size in bytes."""
    return Path(output_path).write_bytes(build_lambda_package())


def get_package_info() -> dict[str, str | int | list[str]]:
    """What is in the package, how large it is, and how it is entered."""
    contents = _contents()
    return {
        "package_path": str(files(_ROOT)),
        "python_files": len(contents),
        "uncompressed_size": sum(len(text) for text in contents.values()),
        "size": len(build_lambda_package()),
        "handler": HANDLER,
        "runtime_dependencies": ["boto3"],
    }


def _contents() -> dict[str, bytes]:
    found = {"index.py": _INDEX.encode()}
    waiting = [_ENTRY]
    while waiting:
        module = waiting.pop()
        source, name = _source(module)
        if name in found:
            continue
        # Lines end in the same way wherever the package is built.
        text = source.read_text(encoding="utf-8")
        found[name] = text.encode()
        waiting += [parent for parent in (module.rpartition(".")[0],) if parent]
        # The root loads its names when they are first used: what it could load is no part of the package.
        if module != _ROOT:
            waiting += _imported(ast.parse(text))
    return found


def _source(module: str) -> tuple[Traversable, str]:
    place = files(_ROOT)
    for part in module.split(".")[1:]:
        place = place.joinpath(part)
    name = module.replace(".", "/")
    if place.is_dir():
        return place.joinpath("__init__.py"), f"{name}/__init__.py"
    return files(_ROOT).joinpath(*f"{name}.py".split("/")[1:]), f"{name}.py"


def _imported(tree: ast.AST) -> Iterator[str]:
    """The modules of this library that a module imports, those for type checkers left out."""
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == _ROOT)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _ROOT:
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names if _is_module(f"{module}.{alias.name}"))


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _statements(node)


def _is_module(name: str) -> bool:
    source, _ = _source(name)
    return source.is_file()
