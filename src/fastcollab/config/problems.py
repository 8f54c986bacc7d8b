"""What is told about a configuration that cannot be used."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastcollab.errors import FastcollabError


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing to correct.

    ``key`` is the dotted key (empty when a whole file is at fault), ``message`` continues the sentence that
    the key begins, and ``origin`` names where the value came from (empty where the message does).
    """

    key: str
    message: str
    origin: str = ""

    def __str__(self) -> str:
        sentence = f"{self.key} {self.message}".strip()
        return f"{sentence} ({self.origin})" if self.origin else sentence


class ConfigError(FastcollabError, ValueError):
    """The configuration cannot be used; ``problems`` has every reason, and the text has one line for each."""

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
