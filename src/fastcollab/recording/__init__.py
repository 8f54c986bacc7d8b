"""Recordings: what happens in a room, line by line, as somebody sees it who takes part.

``file`` is the form of a recording, ``anonymity`` takes out of one what is personal, ``recorder`` writes one, and
``cli`` is the command ``fastcollab record``. ``fastcollab load --replay`` plays a recording (``bench.replay``).
"""
