"""Where configuration values come from, and what is told when one of them is wrong.

A source is read into a *layer*: a flat mapping of dotted keys (``"server.port"``) to a :class:`Setting`, the
value together with the words that name its origin. Because the origin travels with each value, every later
complaint can name the line, the variable or the flag to correct, and ``fastcollab config show`` can say why a
value is in force.

A source that is partly wrong still yields its good part: :class:`LayerReader` collects the problems of all
sources, so that one attempt reports everything there is to correct.

Environment variables are spelled ``FASTCOLLAB_SECTION__KEY``. A variable that begins with ``FASTCOLLAB_`` and
names no key is a problem, since it is nearly always a misspelling, with two exceptions: variables that other
parts of the project read (:data:`OTHER_VARIABLES`), and those that Kubernetes puts into every container when
a service is called ``fastcollab`` (``FASTCOLLAB_SERVICE_HOST``, ``FASTCOLLAB_PORT_8080_TCP_ADDR``, ...).
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from fastcollab.config.problems import ConfigProblem

PREFIX = "FASTCOLLAB_"

OTHER_VARIABLES = frozenset({"FASTCOLLAB_TRACES", "FASTCOLLAB_SANITIZE", "FASTCOLLAB_NATIVE", "FASTCOLLAB_ANNOTATE"})
"""Variables of the build and of the tests, which are no configuration."""

_KUBERNETES = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
    r"=|(\w+_)?PORT=(tcp|udp|sctp)://"
)
_TABLE_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(#.*)?$")
_ASSIGNMENT = re.compile(r"\s*([\w\-.\"' ]+?)\s*=")


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and the words that name where it came from, such as ``flag --port``."""

    value: object
    origin: str


Layer = dict[str, Setting]
"""What one source says, by dotted key."""


def environment_variable(key: str) -> str:
    """The variable that sets the dotted ``key``: ``server.port`` is ``FASTCOLLAB_SERVER__PORT``."""
    return PREFIX + key.upper().replace(".", "__")


class LayerReader:
    """Reads sources into layers and keeps the ``problems`` that it met in them.

    ``keys`` are all known dotted keys; whatever else a source sets is a problem and is left out of its layer.
    """

    def __init__(self, keys: frozenset[str]) -> None:
        self.problems: list[ConfigProblem] = []
        self._keys = keys
        self._sections = frozenset(key.partition(".")[0] for key in keys)

    def keywords(self, sections: Mapping[str, object]) -> Layer:
        """Keyword arguments of ``Config(...)``: per section a mapping, or a section model.

        Of a model only the fields that its maker set count, so that the others can still come from elsewhere.
        """

        def origin(key: str) -> str:
            return f"keyword argument {key.partition('.')[0]}"

        layer: Layer = {}
        for section, content in sections.items():
            values: object = content
            if isinstance(content, BaseModel):
                values = {name: getattr(content, name) for name in content.model_fields_set}
            self._add_section(layer, section, values, origin)
        return layer

    def overrides(self, values: Mapping[str, object]) -> Layer:
        """Values by dotted key, as from the command line; a :class:`Setting` names the flag as well."""
        layer: Layer = {}
        for key, value in values.items():
            setting = value if isinstance(value, Setting) else Setting(value, "override")
            self._add(layer, key, setting)
        return layer

    def environment(self, environ: Mapping[str, str]) -> Layer:
        """Variables ``FASTCOLLAB_SECTION__KEY``; an empty one counts as not set."""
        layer: Layer = {}
        for name in sorted(environ):
            text = environ[name]
            rest = name.removeprefix(PREFIX)
            if rest == name or name in OTHER_VARIABLES or not text:
                continue
            if "__" not in rest and _KUBERNETES.match(f"{rest}={text}"):
                continue
            key = rest.lower().replace("__", ".")
            self._add(layer, key, Setting(text, f"environment variable {name}"), spell=environment_variable)
        return layer

    def file(self, path: Path) -> Layer:
        """A TOML file with one table per section."""
        try:
            text = path.read_text(encoding="utf-8")
            tables = tomllib.loads(text)
        except OSError as error:
            self.problems.append(ConfigProblem("", f"{path} cannot be read: {error.strerror}"))
            return {}
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            self.problems.append(ConfigProblem("", f"{path} is not valid TOML: {error}"))
            return {}

        lines = dict(_lines_of_keys(text))

        def origin(key: str) -> str:
            line = lines.get(key) or lines.get(key.partition(".")[0])
            return f"{path}, line {line}" if line else str(path)

        layer: Layer = {}
        for section, content in tables.items():
            self._add_section(layer, section, content, origin)
        return layer

    def _add_section(self, layer: Layer, section: str, content: object, origin: Callable[[str], str]) -> None:
        if isinstance(content, Mapping):
            for name, value in content.items():
                key = f"{section}.{name}"
                self._add(layer, key, Setting(value, origin(key)))
        elif section in self._sections:
            # What stands there instead is not shown: it might be a secret.
            self.problems.append(ConfigProblem(section, "must be a table of settings", origin(section)))
        else:
            self._add(layer, section, Setting(content, origin(section)))

    def _add(self, layer: Layer, key: str, setting: Setting, spell: Callable[[str], str] = str) -> None:
        if key in self._keys:
            layer[key] = setting
            return
        if key in self._sections:
            message = "is a section, not a setting"
        elif nearest := self._nearest(key):
            message = f"is not a known setting; did you mean {spell(nearest)}?"
        else:
            message = "is not a known setting"
        self.problems.append(ConfigProblem(key, message, setting.origin))

    def _nearest(self, key: str) -> str | None:
        """The known key that ``key`` was probably meant to be.

        The name is looked for in the section, then in the others, since a shared section alone makes two keys
        look alike; at last the key is compared as a whole, for one without its dot.
        """
        section, _, name = key.rpartition(".")
        keys = sorted(self._keys)
        sections = difflib.get_close_matches(section, sorted(self._sections), n=1, cutoff=0.7)
        in_section = [known for known in keys if sections and known.startswith(f"{sections[0]}.")]
        for candidates in (in_section, keys):
            by_name = {known.partition(".")[2]: known for known in candidates}
            if close := difflib.get_close_matches(name, by_name, n=1, cutoff=0.7):
                return by_name[close[0]]
        return next(iter(difflib.get_close_matches(key, keys, n=1, cutoff=0.85)), None)


def _lines_of_keys(text: str) -> Iterator[tuple[str, int]]:
    """Each dotted key or table of valid TOML with its line number, last mention first.

    TOML allows no key twice, so the order only matters to text that looks like an assignment inside a
    multi-line string: what comes first in the file wins when the result is made a ``dict``.
    """
    found: list[tuple[str, int]] = []
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE_HEADER.match(line):
            table = _plain(header[1])
            found.append((table, number))
        elif assignment := _ASSIGNMENT.match(line):
            name = _plain(assignment[1])
            found.append((f"{table}.{name}" if table else name, number))
    return reversed(found)


def _plain(name: str) -> str:
    return re.sub(r"[\s\"']", "", name)
