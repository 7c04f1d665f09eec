import pytest

# These hold the assertions of the cases.
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in ("disturbed", "quiet", "rates", "scene")))
