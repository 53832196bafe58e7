"""Settings of the documentation site, which `scripts/docs` builds with Sphinx."""

from nlp_rnn import __version__

project = "nlp_rnn"
release = version = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
html_theme = "furo"
html_title = "nlp_rnn"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
exclude_patterns = ["research/logs"]

# Headings are link targets under the names that GitHub gives them.
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings name the types
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False  # several parameters with one description stay together
default_role = "code"  # single backticks in docstrings
copybutton_prompt_text = "$ "
