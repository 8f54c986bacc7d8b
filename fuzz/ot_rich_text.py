"""Fuzzes the document type ``rich-text``; ``make fuzz`` runs it."""

from fuzz import laws, values

laws.run("rich-text", values.rich_document, values.rich_operation, lambda source: values.value(source, 0))
