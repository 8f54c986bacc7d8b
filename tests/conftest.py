"""Hypothesis profiles: ``--hypothesis-profile=full`` tries ten times as much as the usual run."""

from hypothesis import settings

settings.register_profile("full", max_examples=10 * settings.default.max_examples)
