"""The page as a widget of a notebook, by anywidget."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

from .answers import answer
from .api import Api

__all__ = ["make_widget", "single_module"]

#: Scripts of the page, those that are imported first.
SCRIPTS = (
    "mask.js",
    "picture.js",
    "widgets.js",
    "input.js",
    "status.js",
    "panels.js",
    "saving.js",
    "editor.js",
    "app.js",
    "transport.js",
    "page.js",
)


def _read(name: str) -> str:
    folder = resources.files("deepcr_ccd") / "inspection" / "page" / "static"
    return (folder / name).read_text(encoding="utf-8")


def single_module() -> str:
    """Return the scripts of the page as one ES module, which widgets need."""
    text = "\n".join(map(_read, SCRIPTS))
    text = re.sub(r"^import .* from .*;\n", "", text, flags=re.MULTILINE)
    return re.sub(
        r"^export (?=(class|async|function|const)\b)", "", text, flags=re.MULTILINE
    )


def make_widget(api: Api) -> Any:
    """Return a widget that shows the page.

    Parameters
    ----------
    api : Api
        Answers its calls.

    Raises
    ------
    ImportError
        If anywidget is not installed.
    """
    try:
        import anywidget
    except ImportError as error:
        raise ImportError(
            "the widget needs anywidget: pip install 'deepcr_ccd[inspect]'"
        ) from error

    class InspectWidget(anywidget.AnyWidget):
        """The page on which a person judges a mask."""

        _esm = single_module()
        _css = _read("inspect.css")

    def respond(widget: Any, message: Any, _: Any) -> None:
        if not isinstance(message, dict) or not isinstance(message.get("id"), str):
            return
        name, params = str(message.get("name")), message.get("params")
        status, content = answer(api, name, params)
        reply: dict[str, Any] = {"id": message["id"]}
        if isinstance(content, bytes):
            widget.send(reply, [content])
        else:
            reply["answer" if status == 200 else "error"] = content
            widget.send(reply)

    made = InspectWidget()
    made.on_msg(respond)
    return made
