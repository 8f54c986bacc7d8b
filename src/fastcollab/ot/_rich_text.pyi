from typing import Any, Final, Literal, TypedDict

from fastcollab.ot._rich_live import LiveRichText

Component = dict[str, Any]
Delta = list[Component]

class WrappedDelta(TypedDict):
    ops: Delta

MAX_LENGTH: Final[int]
DEFAULT_MAX_COMPONENTS: Final[int]
DEFAULT_MAX_SIZE: Final[int]
DEFAULT_MAX_ATTRIBUTES: Final[int]

class RichTextType:
    @property
    def name(self) -> str: ...
    def create(self, initial: Delta | WrappedDelta | None = None) -> Delta: ...
    def open(self, content: Delta | WrappedDelta) -> LiveRichText: ...
    def check(
        self,
        operation: object,
        *,
        max_components: int = ...,
        max_size: int = ...,
        max_attributes: int = ...,
    ) -> None: ...
    def check_position(self, position: object) -> None: ...
    def apply(self, document: Delta | WrappedDelta, operation: Delta | WrappedDelta) -> Delta: ...
    def transform(
        self,
        operation: Delta | WrappedDelta,
        other: Delta | WrappedDelta,
        side: Literal["left", "right"],
    ) -> Delta: ...
    def compose(self, first: Delta | WrappedDelta, second: Delta | WrappedDelta) -> Delta: ...
    def invert(self, operation: Delta | WrappedDelta, document: Delta | WrappedDelta) -> Delta: ...
    def transform_position(
        self, position: int, operation: Delta | WrappedDelta, side: Literal["left", "right"] = "left"
    ) -> int: ...
    def normalize(self, operation: Delta | WrappedDelta) -> Delta: ...
