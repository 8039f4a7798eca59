"""Text made from templates (Jinja): pages for a browser, and the cards that `headscarp init` writes."""

import html
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_eval_context, select_autoescape
from jinja2.nodes import EvalContext
from markupsafe import Markup

LIBRARY = Path(__file__).parent


def fill(template: str, **values: Any) -> str:
    """Fill a template with values; in HTML every value is escaped.

    Args:
        template: a file below this folder, such as delivery/templates/summary.html.

    Raises:
        jinja2.UndefinedError: the template reads a value that is not given.
    """
    return ENVIRONMENT.get_template(template).render(values)


@pass_eval_context
def escaped(context: EvalContext, value: Any) -> Any:
    """Escape a value of HTML as Python's html.escape does: Jinja's own writes quotes in another way."""
    if not context.autoescape or hasattr(value, "__html__"):
        return value
    return Markup(html.escape(str(value)))


ENVIRONMENT = Environment(
    loader=FileSystemLoader(LIBRARY),
    autoescape=select_autoescape(["html"], default=False),
    undefined=StrictUndefined,
    finalize=escaped,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
