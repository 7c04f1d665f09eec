"""The token in foreign text, in every form in which such a text may contain it."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka.client.redaction import redact

SECRETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8)


@given(SECRETS)
def test_a_secret_is_hidden_in_every_usual_form(secret: str) -> None:
    forms = [
        secret,
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        quote(secret, safe=""),
        quote(secret),
        html.escape(secret),
        secret.replace("/", "\\/"),
        "".join(f"\\u{ord(character):04x}" for character in secret),
        "".join(f"&#{ord(character)};" for character in secret),
        "".join(f"&#x{ord(character):X};" for character in secret),
    ]
    for form in forms:
        assert redact(secret, form) == "***"
        assert redact(secret, f"before {form} after") == "before *** after"


def test_nothing_of_the_last_escaped_character_remains() -> None:
    assert redact("secret&", "before secret&amp; after") == "before *** after"
    assert redact("secret\\", "before secret\\\\ after") == "before *** after"
