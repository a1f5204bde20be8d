"""Configuration of the documentation: ``sphinx-build -W -n docs docs/_build/html``."""

import sys
from pathlib import Path

import neuroattn

sys.path.insert(0, str(Path(__file__).parent))

project = "neuroattn"
author = "the neuroattn developers"
project_copyright = "2026, the neuroattn developers"
release = version = neuroattn.__version__

extensions = [
    *("sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax"),
    *("numpydoc", "myst_nb", "sphinx_design"),
]
exclude_patterns = ["_build", "generated/data-dictionary.md"]
default_role = "autolink"  # a name in backticks is a link where there is something of that name
autosummary_generate = False

# Every tutorial is executed once, and an error in one stops the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove"  # progress bars
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

numpydoc_show_class_members = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
# Types in signatures are of many packages, and not all of ours have a page.
nitpick_ignore_regex = [(r"py:(class|data|attr|obj|exc|meth)", r".*")]

html_theme = "pydata_sphinx_theme"
html_title = "neuroattn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "github_url": "https://github.com/neuroattn/neuroattn",
    "header_links_before_dropdown": 8,
    "navigation_with_keys": True,
    "show_prev_next": True,
}
# Pages without others below them.
_ALONE = ("quick-start", "concepts", "statistics", "results", "changelog", "architecture", "data-dictionary")
html_sidebars = {page: [] for page in _ALONE}


def setup(app):
    """Make the pages that come from the code, before any page is read."""
    from pages import write_pages

    app.connect("config-inited", lambda app, _config: write_pages(Path(app.srcdir) / "generated"))
