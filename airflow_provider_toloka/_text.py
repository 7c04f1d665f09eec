"""Quote foreign text (from Toloka, a proxy, a DAG author) for one line of a log, an error or a table."""

from __future__ import annotations

from reprlib import Repr

LONGEST = 600

_repr = Repr()
_repr.maxlevel = 6
_repr.maxdict = _repr.maxlist = _repr.maxtuple = _repr.maxset = 20
_repr.maxstring = _repr.maxother = _repr.maxlong = 300


def shown(value: object) -> str:
    """Quote a value as ``repr`` does: on one line, without control characters, and never longer than a few lines.

    :param value: anything.
    """
    try:
        return one_line(_repr.repr(value))
    except ValueError:  # an integer with more digits than Python converts to text
        return f"a {type(value).__name__} that is too long to show"


def one_line(text: str) -> str:
    """Escape line breaks and control characters in a text, and truncate it if it is very long.

    :param text: any text.
    """
    cut = text if len(text) <= LONGEST else text[:LONGEST] + "…"
    return cut if cut.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut)
