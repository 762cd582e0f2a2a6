"""Which startup code the worker runs, and which files with permissions and plans belong to it.

Looks whether directories exist; reads and imports nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .settings import SettingsError, shipped_profile

PERMISSIONS_FILE = "user_group_permissions.yaml"
PLANS_FILE = "existing_plans_and_devices.yaml"


class _Profile(NamedTuple):
    """An IPython profile that exists: its name, the root of the profiles, its startup directory."""

    name: str
    root: Path
    startup: Path


def resolve_source(values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the fields of `Settings` that say what the worker executes; None if nothing is named.

    With ``use_ipython_kernel`` a profile that is named is executed before a module or script, as IPython does; without, it only
    tells where the files are.  A directory ``<root>/profile_<name>/startup`` is then that profile.

    Raises
    ------
    SettingsError
        Something named does not exist, or the names exclude each other.
    """
    kind, startup = _source(values)
    profile = _profile(values, environ)
    is_ipython = bool(values.get("use_ipython_kernel"))
    if kind == "dir":
        if profile is not None:
            raise SettingsError("A startup directory cannot be combined with an IPython profile or IPython directory.")
        profile = _profile_of(Path(startup)) if is_ipython else None
        kind = "dir" if profile is None else None
    if kind is None and profile is None:
        return None
    first: str | None = None
    if profile is not None and kind is None:
        kind, startup = "profile", profile.name
    elif profile is not None and is_ipython:
        first = profile.name
    return {
        "startup_kind": kind,
        "startup": startup,
        "startup_profile": first,
        "ipython_dir": None if profile is None else str(profile.root),
    }


def resolve_startup(values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return all startup fields of `Settings` from option values; raises `SettingsError`."""
    source = resolve_source(values, environ)
    if source is None:
        source = {"startup_kind": "dir", "startup": str(shipped_profile()), "startup_profile": None, "ipython_dir": None}
    profile = _profile(values, environ)
    base = profile.startup if profile is not None else None
    if source["startup_kind"] == "dir":
        base = Path(source["startup"])
    elif source["startup_kind"] == "profile" and base is None:
        base = Path(source["ipython_dir"]) / f"profile_{source['startup']}" / "startup"
    permissions = _file(values.get("user_group_permissions"), base, PERMISSIONS_FILE, "--user-group-permissions")
    plans = _file(values.get("existing_plans_devices"), base, PLANS_FILE, "--existing-plans-devices")
    return {**source, "user_group_permissions": permissions, "existing_plans_devices": plans}


def _source(values: Mapping[str, Any]) -> tuple[str | None, str]:
    named = [kind for kind in ("dir", "module", "script") if values.get(f"startup_{kind}")]
    if len(named) > 1:
        raise SettingsError(f"Only one of startup {', '.join(named)} can be used.")
    if not named:
        return None, ""
    value = str(values[f"startup_{named[0]}"])
    if named[0] == "module":
        return "module", value
    path = _absolute(value)
    if not (path.is_dir() if named[0] == "dir" else path.is_file()):
        raise SettingsError(f"The startup {'directory' if named[0] == 'dir' else 'script'} {path} does not exist.")
    return named[0], str(path)


def _profile(values: Mapping[str, Any], environ: Mapping[str, str]) -> _Profile | None:
    """The IPython profile that is named or implied by an IPython directory; None: none is."""
    name, root = values.get("startup_profile"), values.get("ipython_dir")
    if not name and not root:
        return None
    base = _absolute(root or environ.get("IPYTHONDIR") or "~/.ipython")
    name = name or "default"
    directory = base / f"profile_{name}" / "startup"
    if not directory.is_dir():
        raise SettingsError(f"The startup directory {directory} of the IPython profile does not exist.")
    return _Profile(name, base, directory)


def _profile_of(directory: Path) -> _Profile | None:
    """The profile that a startup directory is part of; None: it has another form."""
    parent = directory.parent
    if directory.name != "startup" or not parent.name.startswith("profile_"):
        return None
    return _Profile(parent.name.removeprefix("profile_"), parent.parent, directory)


def _file(given: str | None, base: Path | None, name: str, option: str) -> str:
    """Absolute path of one YAML file; the file may be missing, its directory not."""
    if not given:
        if base is None:
            raise SettingsError(f"With a startup module or script, {option} must say where {name} is.")
        return str(base / name)
    path = _absolute(given)
    if path.is_dir():
        return str(path / name)
    if path.suffix not in (".yaml", ".yml") or not path.parent.is_dir():
        raise SettingsError(f"{option} {path}: neither a directory nor a *.yaml file in an existing directory.")
    return str(path)


def _absolute(path: str) -> Path:
    return Path(path).expanduser().absolute()
