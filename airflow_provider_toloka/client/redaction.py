"""Redact the token from what others wrote. No I/O."""

from __future__ import annotations

import html
import re


def redact(secret: str, text: str) -> str:
    """Return a text with a secret hidden in it, also where it is escaped as in JSON, in a URL or in HTML.

    :param secret: visible ASCII characters.
    :param text: what may hold it.
    """
    return re.sub("".join(_any_form(character) for character in secret), "***", text)


def _any_form(character: str) -> str:
    code = ord(character)
    forms = {character, html.escape(character), f"\\{character}"}
    escaped = [re.escape(form) for form in sorted(forms, key=len, reverse=True)]
    numbers = rf"%(?i:{code:02x})", rf"\\(?:u00|x)(?i:{code:02x})", rf"&#(?:0*{code}|[xX]0*(?i:{code:x}));"
    return f"(?:{'|'.join([*numbers, *escaped])})"
