"""Sphinx configuration of the course's site, which ``make course`` builds.

The site must work from a folder, without a network: the theme brings its own fonts and scripts, and
mathematics is written as MathML, which browsers draw by themselves.
"""

from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging

logger = logging.getLogger(__name__)

project = "Precipitation nowcasting with ConvLSTM"
author = "The authors of nowcastlib"
root_doc = "index"
include_patterns = [
    "index.md",
    "docs/*.md",
    "docs/api/*.rst",
    "notebooks/**.ipynb",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
]
exclude_patterns = ["docs/index.md"]  # docs/run_course.py places it at the root
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx.ext.viewcode",
]

# Notebooks: run_course.py has executed them
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}  # no kernel: players are HTML, and nothing is fetched
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # solutions: "### Exercise 1" as in the notebooks, below "#"

# The API reference: what each room's __init__.pyi lists
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88
numpydoc_show_class_members = False  # they are listed by autodoc
templates_path = [str(Path(__file__).parent / "_templates")]

html_title = "nowcastlib"
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
# Pages without pages below them need no navigation on the left
SINGLE_PAGES = ["index", "CONTRIBUTING", "CHANGELOG"]
SINGLE_PAGES += [f"docs/{name}" for name in ("feeds", "results", "training", "architecture")]
html_sidebars = {page: [] for page in SINGLE_PAGES}
html_theme_options = {
    "navigation_with_keys": False,  # arrow keys belong to the players
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
    "footer_end": [],
    "show_toc_level": 2,
}
html_context = {"default_mode": "auto"}  # light or dark, as the browser wishes
html_math_renderer = "mathml"


def inline_math(writer, node: nodes.math) -> None:
    """Write an inline formula as MathML."""
    writer.body.append(mathml(node, "inline"))
    raise nodes.SkipNode


def displayed_math(writer, node: nodes.math_block) -> None:
    """Write a displayed formula as MathML; a wide one scrolls within its own box."""
    writer.body.append(f'<div class="math" tabindex="0">{mathml(node, "block")}</div>')
    raise nodes.SkipNode


def mathml(node: nodes.Node, display: str) -> str:
    """A formula as MathML."""
    # latex2mathml knows align*, which means the same
    formula = convert(node.astext().replace("{aligned}", "{align*}"), display=display)
    if "<mtable" not in formula and "&amp;" in formula:
        logger.warning("this environment cannot be drawn: %s", node.astext(), location=node)
    return formula


def setup(app) -> None:
    app.add_html_math_renderer("mathml", (inline_math, None), (displayed_math, None))
