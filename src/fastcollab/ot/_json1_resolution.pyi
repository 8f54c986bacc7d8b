from typing import Final

MAX_CONFLICTS: Final[int]
