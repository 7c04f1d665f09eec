"""A few thousand inputs of ``make fuzz``, which runs as many as one likes."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.security import fuzz

INPUTS = 4_000


@pytest.fixture(autouse=True)
def _logging_is_as_before() -> Iterator[None]:
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_but_results_and_our_errors(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(INPUTS, seed) == 0
    said = capsys.readouterr().out
    assert f"{INPUTS} inputs of seed {seed} " in said
    # Neither all refused nor all accepted: otherwise, only one half would be tested.
    for how in ("TolokaInvalidAnswerError", "TolokaConflictError", "Operation", "Project", "list", "Snapshot"):
        assert f"  {how}\n" in said


def test_what_escapes_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> str:
        raise KeyError("oh")

    monkeypatch.setattr(fuzz, "run_one", broken)
    with pytest.raises(KeyError):
        fuzz.main(10, 7)
    assert "input 0 of seed 7: get_requester let KeyError escape" in capsys.readouterr().out
