"""Fuzzes the document type ``json1``; ``make fuzz`` runs it."""

from fuzz import laws, values

laws.run("json1", values.json_value, values.json1_operation, lambda source: values.value(source, 1))
