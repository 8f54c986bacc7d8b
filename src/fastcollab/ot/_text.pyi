from typing import Final, Literal

Component = int | str | dict[str, int] | dict[str, str]
TextOperation = list[Component]

MAX_LENGTH: Final[int]
DEFAULT_MAX_COMPONENTS: Final[int]
DEFAULT_MAX_TEXT: Final[int]

class TextType:
    @property
    def name(self) -> str: ...
    def create(self, initial: str | None = None) -> str: ...
    def check(
        self,
        operation: object,
        *,
        max_components: int = ...,
        max_text: int = ...,
    ) -> None: ...
    def apply(self, document: str, operation: TextOperation) -> str: ...
    def transform(
        self, operation: TextOperation, other: TextOperation, side: Literal["left", "right"]
    ) -> TextOperation: ...
    def compose(self, first: TextOperation, second: TextOperation) -> TextOperation: ...
    def invert(self, operation: TextOperation, document: str) -> TextOperation: ...
    def transform_position(
        self, position: int, operation: TextOperation, side: Literal["left", "right"] = "left"
    ) -> int: ...
    def normalize(self, operation: TextOperation) -> TextOperation: ...
