from typing import Final

MAX_LENGTH: Final[int]
