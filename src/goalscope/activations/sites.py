"""Names of places in a forward: which module, which call of it, its input or output, which tensor of that.

A site is written `NAME[@CALL][:SIDE[.KEY]]`:

* NAME is the module's dotted name as in `module.named_modules()`; the module itself is the empty name;
* `@2` is its third call within one forward, `@*` all of them; without it, the only call (or, in an edit, every call);
* `:out` (if nothing is said) is what the module returns, `:in` its first tensor argument;
* `.KEY` picks from a tuple, list, dict, named tuple or dataclass by position or field, as in `lstm:out.1.0`
  or `:out.value`; `:in.1` is the second positional argument, `:in.mask` a keyword argument. Without a key it is
  the first tensor in there.

A module that is registered under two names is one module with one count of calls, whichever name is used. A tensor that
stands in several places of what goes in or comes out (query, key and value of self-attention; the output and the
state of a recurrent cell) is one tensor: an edit at one of the places is made at all of them.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

from torch import Tensor, nn

from goalscope.activations.tree import named_modules

_FORM = re.compile(
    r"(?P<name>[^@:]*)(?:@(?P<call>\d+|\*))?(?::(?P<side>in|out)(?:\.(?P<key>[^@:]+))?)?(?:@(?P<late>\d+|\*))?"
)
EVERY = "*"


@dataclasses.dataclass(frozen=True)
class Site:
    """One parsed site.

    Attributes:
        text: as it was written.
        name: dotted name of the module, "" for the module itself.
        call: number of the call within one forward, from 0; "*" for all; None where none is named.
        side: "in" or "out".
        path: keys into what goes in or comes out; empty for its first tensor.
    """

    text: str
    name: str
    call: int | str | None = None
    side: str = "out"
    path: tuple[str, ...] = ()


def parse(text: str) -> Site:
    """The parts of a site's name.

    Raises:
        ValueError: the text has not the form `NAME[@CALL][:SIDE[.KEY]]`.
    """
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if match is None or (match["call"] and match["late"]):
        raise ValueError(
            f"{text!r} is no site: write NAME, NAME:in, NAME@2 or NAME:out.KEY, "
            "with NAME as in module.named_modules()"
        )
    call = match["call"] or match["late"]
    if call is not None and call != EVERY:
        call = int(call)
    path = tuple(match["key"].split(".")) if match["key"] else ()
    return Site(text, match["name"], call, match["side"] or "out", path)


def find(module: nn.Module, site: Site) -> nn.Module:
    """The module that a site names; raises as `find_all`."""
    return find_all(module, [site])[0]


def find_all(module: nn.Module, sites: Iterable[Site]) -> list[nn.Module]:
    """The modules that some sites name, in one look at the tree.

    Raises:
        ValueError: there is none of that name; the message has the nearest names.
    """
    named = named_modules(module)
    return [named[site.name] if site.name in named else _refuse(module, site, named) for site in sites]


def _refuse(module: nn.Module, site: Site, named: Mapping[str, nn.Module]) -> NoReturn:
    near = difflib.get_close_matches(site.name, named, 3, 0.4)
    tail = site.name.rsplit(".", 1)[-1]
    near += [name for name in named if name.rsplit(".", 1)[-1] == tail and name not in near][:3]
    hint = f"near matches: {', '.join(near)}" if near else "see goalscope.activations.sites(module, inputs)"
    raise ValueError(f"{type(module).__name__} has no site {site.text!r}: no module {site.name!r}; {hint}")


def locate(whole: Any, site: Site) -> tuple[str, ...]:
    """The full path to the site's tensor in what goes in, `(args, kwargs)`, or in what comes out.

    Raises:
        ValueError: no such key, or no tensor there.
    """
    path = site.path
    if site.side == "in":
        path = (("0" if path[0].isdigit() else "1"), *path) if path else ()
    value = whole
    for depth, key in enumerate(path):
        children = _children(value)
        if key not in children:
            offered = [".".join((*path[:depth], name)) for name in children]
            if site.side == "in" and depth < 2:
                offered = [*_children(whole[0]), *whole[1]]
            near = f"it has {', '.join(offered)}" if offered else f"it is a {type(value).__name__}"
            what = "argument" if site.side == "in" else "output"
            raise ValueError(f"site {site.text!r}: the {what} has no {'.'.join(site.path)!r}; {near}")
        value = children[key][1]
    rest = _first_tensor(value)
    if rest is None:
        kind = type(value).__name__
        what = "goes into" if site.side == "in" else "comes out of"
        raise ValueError(
            f"site {site.text!r}: no tensor {what} the module there (a {kind}), pick another key"
        )
    return (*path, *rest)


def tensor_at(whole: Any, path: tuple[str, ...]) -> Tensor:
    """The tensor that `locate` found."""
    for key in path:
        whole = _children(whole)[key][1]
    return whole


def with_tensor(whole: Any, path: tuple[str, ...], tensor: Tensor) -> Any:
    """The same structure with one tensor exchanged, wherever it stands; what was given stays as it is."""
    return _exchanged(whole, tensor_at(whole, path), tensor)


def _exchanged(value: Any, old: Tensor, new: Tensor) -> Any:
    if value is old:
        return new
    for key, child in list(_children(value).values()):
        changed = _exchanged(child, old, new)
        if changed is child:
            continue
        if isinstance(value, tuple):
            items = list(value)
            items[key] = changed
            value = type(value)(*items) if hasattr(value, "_fields") else tuple(items)
        elif dataclasses.is_dataclass(value) and not isinstance(value, (type, Mapping)):
            value = dataclasses.replace(value, **{key: changed})
        else:
            other: Any = copy.copy(value)
            other[key] = changed
            value = other
    return value


def tensors(whole: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """Every tensor in a structure with its path, named fields by name."""
    if isinstance(whole, Tensor):
        yield path, whole
        return
    fields = getattr(whole, "_fields", None)
    for key, (_, child) in _children(whole).items():
        if fields is None or key in fields:
            yield from tensors(child, (*path, key))


def _children(value: Any) -> dict[str, tuple[Any, Any]]:
    """What lies one step below: key as written -> (key, value). Fields of named tuples also go by position."""
    if isinstance(value, Tensor):
        return {}
    if isinstance(value, Mapping):
        return {str(key): (key, child) for key, child in value.items()}
    if isinstance(value, (tuple, list)):
        found = {str(k): (k, child) for k, child in enumerate(value)}
        for k, field in enumerate(getattr(value, "_fields", ())):
            found[field] = (k, value[k])
        return found
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: (field.name, getattr(value, field.name)) for field in dataclasses.fields(value)}
    return {}


def _first_tensor(value: Any) -> tuple[str, ...] | None:
    return next((path for path, _ in tensors(value)), None)


Visit = Callable[[Site, Any, int], Any]
"""(site, what goes in or comes out, number of the call) -> what shall be there instead, or None to leave it"""
