"""Optional parts of libraries that no service uses, kept out of every start."""

import sys
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def without(*modules: str) -> Generator[None]:
    """Imports in this block find none of these modules, as if they were not installed: libraries then do without what they would be used for.

    A name that stands for None in `sys.modules` is not found (Python reference, 5.3.1). Whoever imports one later gets it; one that is there
    already stays.
    """
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # pyright: ignore[reportCallIssue, reportArgumentType]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
