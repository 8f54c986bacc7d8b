"""Writes the tables of docs/configuration.md from the settings that there are: ``python docs/site/configuration.py``.

What is between the tables is written by hand. A table stands below its section's heading: of a new section, the heading
and the first line of the table are written by hand too.
"""

from __future__ import annotations

import re
from pathlib import Path

from fastcollab.config.model import section_models
from fastcollab.config.reference import accepted_values, description, toml_value

PAGE = Path(__file__).parents[1] / "configuration.md"

_TABLE = re.compile(r"^(### `(\w+)`\n(?:(?!#|\|).*\n)*)((?:\|.*\n)+)", re.MULTILINE)


def current(page: str) -> str:
    """The page with the tables that it ought to have. Raises ``ValueError`` if its headings are not the sections."""
    sections = section_models()
    if (headings := [match[2] for match in _TABLE.finditer(page)]) != list(sections):
        raise ValueError(f"the page has sections for {headings}, the settings are of {list(sections)}")
    return _TABLE.sub(lambda match: match[1] + _table(match[2]), page)


def _table(section: str) -> str:
    rows = ["| Key | Default | Takes | Meaning |", "| --- | --- | --- | --- |"]
    for name, field in section_models()[section].model_fields.items():
        default = "—" if field.default is None else f"`{toml_value(field.default)}`"
        rows.append(f"| `{section}.{name}` | {default} | {accepted_values(field)} | {description(field)} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
