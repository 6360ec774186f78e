"""How the docs are built; `make check` builds them with warnings as errors.

Pages are Markdown (MyST); the reference is drawn from the docstrings.
"""

from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import zae_limiter

project = "zae-limiter"
author = "the zae-limiter authors"
copyright = f"2026, {author}"
version = release = zae_limiter.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "zae-limiter"
highlight_language = "text"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
add_module_names = False

# Only names of ours must resolve: the docs of other projects are not fetched for a build.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!zae_limiter).*"),
    (r"py:class", r"zae_limiter\..*Acquisition"),  # what `acquire` returns is entered at once, and has no other use
    (r"py:class", r"zae_limiter\w*\..*\.[A-Z]"),  # type variables
]


def found_by_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Signatures name the module that holds a class; the reference has it where users import it from."""
    target = str(node.get("reftarget", ""))
    if node.get("refdomain") != "py" or not target.startswith("zae_limiter"):
        return None
    *modules, name = target.split(".")
    for depth in range(len(modules) - 1, 0, -1):
        public = ".".join([*modules[:depth], name])
        found = env.domains.python_domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, content)
        if found is not None:
            return found
    return None


def setup(app: Sphinx) -> dict[str, Any]:
    """Hang the search for public names into the build."""
    app.connect("missing-reference", found_by_public_name)
    return {"parallel_read_safe": True}
