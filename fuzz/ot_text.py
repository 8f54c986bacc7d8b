"""Fuzzes the document type ``text``; ``make fuzz`` runs it."""

from fuzz import laws, values

laws.run("text", lambda source: source.text(20), values.text_operation, lambda source: values.value(source, 0))
