"""``python -m fastcollab`` is the command ``fastcollab``."""

from fastcollab.cli import main

main()
