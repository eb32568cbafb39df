# SPDX-License-Identifier: Apache-2.0
"""HTML that escapes by construction: what is not `Html` already is text, and is escaped.

Names of folders, regions and models come from outside. No template can forget to escape them, since
there is no other way into a page than through here.
"""

from collections.abc import Mapping
from html import escape
from typing import Final

from aminet_runtime.errors import printable


class Html(str):
    """Finished markup; only this module and file contents that we ship become it."""

    __slots__ = ()


VOID_TAGS: Final = frozenset({"meta", "br"})
NOTHING: Final = Html("")


def element(tag: str, attributes: Mapping[str, str | float], *children: str) -> Html:
    """Return an element.

    Args:
        tag: Its name.
        attributes: Values are escaped.
        children: Markup, or text that is escaped.
    """
    words = "".join(f' {name}="{escape(str(value))}"' for name, value in attributes.items())
    if tag in VOID_TAGS:
        return Html(f"<{tag}{words}>")
    return Html(f"<{tag}{words}>{join(*children)}</{tag}>")


def tag(name: str, *children: str, kind: str = "") -> Html:
    """Return an element whose only attribute, if any, is its class."""
    return element(name, {"class": kind} if kind else {}, *children)


def join(*parts: str) -> Html:
    """Return markup and escaped text one after the other."""
    return Html("".join(part if isinstance(part, Html) else text(part) for part in parts))


def text(words: str) -> Html:
    """Escape a text; what cannot be printed is spelled out."""
    return Html(escape(printable(words)))
