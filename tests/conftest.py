"""Hypothesis profiles: ``--hypothesis-profile=full`` tries ten times as much as the usual run.

No example has a deadline: how long one takes says how busy the machine is, or that the build has sanitizers.
"""

from hypothesis import settings

settings.register_profile("usual", deadline=None)
settings.register_profile("full", deadline=None, max_examples=10 * settings.default.max_examples)
settings.load_profile("usual")
