from typing import Final

MAX_DEPTH: Final[int]
