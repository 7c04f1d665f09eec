"""The public surface as type checkers see it: mypy and basedpyright read these files, and nothing runs them."""
