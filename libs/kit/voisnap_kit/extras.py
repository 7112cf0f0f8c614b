"""Optional parts of libraries that no service uses, kept out of every start."""

import sys


class without:  # noqa: N801 - read as a word: `with without("rich"):`
    """Imports in this block find none of these modules, as if they were not installed: libraries then do without what they would be used for.

    A name that stands for None in `sys.modules` is not found (Python reference, 5.3.1). Whoever imports one later gets it; one that is there
    already stays.
    """

    def __init__(self, *modules: str) -> None:
        self._hidden = tuple(name for name in modules if name not in sys.modules)

    def __enter__(self) -> None:
        sys.modules.update(dict.fromkeys(self._hidden))  # pyright: ignore[reportCallIssue, reportArgumentType]

    def __exit__(self, *_error: object) -> None:
        for name in self._hidden:
            del sys.modules[name]
