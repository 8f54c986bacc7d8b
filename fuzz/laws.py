"""What a fuzz target holds a document type to.

Anything may be refused, with `OperationError` and nothing else; what is not refused must keep the laws. The functions
check the form of what they are given themselves, so every one of them gets what `check` refused, too.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

import atheris

from fastcollab import ot
from fastcollab.ot.live import open_document
from fuzz.values import Source

Maker = Callable[[Source], Any]

REFUSED = object()


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result, or REFUSED; any other exception is a finding."""
    if any(argument is REFUSED for argument in arguments):
        return REFUSED
    try:
        return function(*arguments)
    except ot.OperationError as error:
        str(error)
        return REFUSED


def equal(one: Any, other: Any) -> bool:
    return one is REFUSED or other is REFUSED or repr(one) == repr(other) or bool(one == other)


@atheris.instrument_func
def hold(document_type: ot.DocumentType, document: Any, a: Any, b: Any, c: Any, position: Any) -> None:
    """Calls everything, and raises AssertionError where a law is broken."""
    document = attempt(document_type.create, document)
    normal = [attempt(document_type.normalize, operation) for operation in (a, b, c)]
    for operation in (a, b, c, *normal):
        if operation is not REFUSED:
            attempt(document_type.check, operation)
            attempt(document_type.transform_position, position, operation, "left")
            attempt(document_type.transform_position, position, operation, "right")
            attempt(document_type.transform, operation, b, "left")
            attempt(document_type.transform, a, operation, "right")
            attempt(document_type.compose, operation, c)
            attempt(document_type.apply, document, operation)
            attempt(document_type.invert, operation, document)
    a, b, c = normal
    for operation in normal:
        assert equal(attempt(document_type.normalize, operation), operation)
    after_a = attempt(document_type.apply, document, a)
    after_b = attempt(document_type.apply, document, b)
    if after_a is not REFUSED and after_b is not REFUSED:
        # json1 refuses to transform two edits of one value as different types; then both ways do.
        b_after_a = attempt(document_type.transform, b, a, "right")
        a_after_b = attempt(document_type.transform, a, b, "left")
        assert (b_after_a is REFUSED) == (a_after_b is REFUSED), "convergence"
        if b_after_a is not REFUSED:
            by_a = document_type.apply(after_a, b_after_a)
            assert equal(by_a, document_type.apply(after_b, a_after_b)), "convergence"
    if after_a is not REFUSED:
        inverse = document_type.invert(a, document)
        assert equal(document_type.apply(after_a, inverse), document), "inversion"
        live = open_document(document_type, copy.deepcopy(document))
        assert equal(live.apply(a), inverse), "the inverse of a live document"
        assert equal(live.content(), after_a), "the content of a live document"
        after_both = attempt(document_type.apply, after_a, c)
        if after_both is not REFUSED:
            composed = document_type.compose(a, c)
            assert equal(document_type.apply(document, composed), after_both), "composition"


def run(type_name: str, make_document: Maker, make_operation: Maker, make_position: Maker) -> None:
    """The target: fuzzes the document type until a finding, or as long as the command line says."""
    document_type = ot.types[type_name]

    def one_input(data: bytes) -> None:
        source = Source(data)
        document = make_document(source)
        a, b, c = (make_operation(source) for _ in range(3))
        arguments = (document, a, b, c, make_position(source))
        before = repr(arguments)
        hold(document_type, *arguments)
        assert repr(arguments) == before, "an argument was changed"

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
