"""Redact the token from foreign text. No I/O."""

from __future__ import annotations

import html
import re


def redact(secret: str, text: str) -> str:
    """Redact a secret from a text, also if it is escaped as in JSON, a URL or HTML.

    :param secret: visible ASCII characters.
    :param text: a text that may contain the secret.
    """
    return re.sub("".join(_any_form(character) for character in secret), "***", text)


def _any_form(character: str) -> str:
    code = ord(character)
    forms = {character, html.escape(character), f"\\{character}"}
    # The longer of two forms that begin alike comes first.
    escaped = [re.escape(form) for form in sorted(forms, reverse=True)]
    numbers = rf"%(?i:{code:02x})", rf"\\(?:u00|x)(?i:{code:02x})", rf"&#(?:0*{code}|[xX]0*(?i:{code:x}));"
    return f"(?:{'|'.join([*numbers, *escaped])})"
