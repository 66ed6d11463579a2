"""Wrapping functions of the daemon by name, from outside.

Nothing is kept here; what is wrapped stays so for the life of the process and of its forks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

from holdfast.errors import ConfigError

__all__ = ["find", "wrap"]

# Gets the function and its arguments, and calls it or not.
Around = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


def find(target: str) -> tuple[Any, str]:
    """Who has what ``module:Class.name`` names, and the last name.  Raises ConfigError."""
    module, _, names = target.partition(":")
    *classes, name = names.split(".")
    try:
        owner: Any = import_module(module)
        for part in classes:
            owner = getattr(owner, part)
        function = inspect.getattr_static(owner, name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{target}: not in this holdfast: {error}") from None
    if not inspect.isfunction(function):  # of a static method the wrapper would get a self
        raise ConfigError(f"{target}: is no function or method")
    if owner is not import_module(module) and name not in vars(owner):
        raise ConfigError(f"{target}: is inherited; name the class that defines it")
    return owner, name


def wrap(target: str, around: Around) -> None:
    """Have ``around`` called in place of a function.

    A function of a module is replaced where it is looked up, in that module: who imported it by
    name has the old one.
    """
    owner, name = find(target)
    function = getattr(owner, name)

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return around(function, args, kwargs)

    setattr(owner, name, wrapped)
