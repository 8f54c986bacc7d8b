"""Writes ``python.json`` anew."""

from tests.vectors.made import PYTHON, dumped, python_vectors

PYTHON.write_text(dumped(python_vectors()), encoding="utf-8")
