"""Finds methods by name: every file of this folder, and entry points `gti.methods`."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

import baselines
from gti.hints import did_you_mean
from gti.method import Method, MethodError, check_method

GROUPS = {
    "core": ("core",),
    "initializations": ("initialization",),
    "controls": ("control",),
    "all": ("core", "initialization", "control"),
}


class UnknownMethodError(ValueError):
    """No method of that name; the message gives the nearest one."""


def _methods_in(module_name: str) -> list[Method]:
    module = importlib.import_module(module_name)
    return [
        value()
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Method)
        and value.__module__ == module_name
        and "key" in vars(value)
    ]


@cache
def methods() -> dict[str, Method]:
    """All methods by key, group by group: the core in the order of figures, the others by name.

    Raises:
        MethodError: a file that holds no method, one whose key is not its file's name, two
            methods of one key, or one that breaks the contract.
    """
    found: dict[str, Method] = {}
    for info in pkgutil.iter_modules(baselines.__path__):
        if info.name == "registry":
            continue
        inside = _methods_in(f"baselines.{info.name}")
        if [method.key for method in inside] != [info.name]:
            raise MethodError(
                f"baselines/{info.name}.py must hold one Method with key {info.name!r},"
                f" found {[method.key for method in inside]}"
            )
        found[info.name] = inside[0]
    for point in entry_points(group="gti.methods"):
        method = point.load()()
        if method.key in found:
            raise MethodError(
                f"entry point {point.value}: there is a method {method.key!r} already"
            )
        found[method.key] = method
    for method in found.values():
        check_method(method)
        _check_parents(method, found)
    return {method.key: method for method in sorted(found.values(), key=_listed)}


def _check_parents(method: Method, known: Mapping[str, Method]) -> None:
    """Checks that parents exist and lead to a method that has none."""
    line = [method.key]
    while (parent := known[line[-1]].parent) is not None:
        if parent not in known:
            hint = did_you_mean(parent, known) or "."
            raise MethodError(f"method {line[-1]!r}: there is no parent {parent!r}{hint}")
        if parent in line:
            raise MethodError(f"method {method.key!r}: its parents go round: {', '.join(line)}")
        line.append(parent)


def _listed(method: Method) -> tuple[int, int, str]:
    """Sorts methods for lists and runs."""
    place = method.order if method.group == "core" else 0
    return GROUPS["all"].index(method.group), place, method.key


def select_methods(names: str) -> list[Method]:
    """The methods that `names` asks for: a comma-separated list of keys and groups, no repeats.

    Raises:
        UnknownMethodError: a name that is neither.
    """
    known = methods()
    chosen: dict[str, Method] = {}
    for name in [part.strip() for part in names.split(",") if part.strip()]:
        if name in GROUPS:
            for key, method in known.items():
                if method.group in GROUPS[name]:
                    chosen.setdefault(key, method)
        elif name in known:
            chosen.setdefault(name, known[name])
        else:
            hint = did_you_mean(name, [*known, *GROUPS]) or "."
            raise UnknownMethodError(
                f"unknown method {name!r}{hint} `gti-bench list methods` shows all"
            )
    if not chosen:
        raise UnknownMethodError("no method named; `gti-bench list methods` shows all")
    return list(chosen.values())
