"""Which startup code the worker runs, and which files with permissions and plans belong to it.

Looks whether directories exist; reads and imports nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .settings import SettingsError, shipped_profile

PERMISSIONS_FILE = "user_group_permissions.yaml"
PLANS_FILE = "existing_plans_and_devices.yaml"


def resolve_startup(values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the startup fields of `Settings` from option values; raises `SettingsError`."""
    kind, startup = _source(values)
    profile = _profile_directory(values, environ)
    if kind == "dir" and profile is not None:
        raise SettingsError("A startup directory cannot be combined with an IPython profile or IPython directory.")
    if kind is None and profile is not None:
        kind, startup = "profile", values.get("startup_profile") or "default"
    elif kind is None:
        kind, startup = "dir", str(shipped_profile())
    base = Path(startup) if kind == "dir" else profile
    shipped = kind == "dir" and base == shipped_profile()
    permissions = _file(values.get("user_group_permissions"), base, PERMISSIONS_FILE, "--user-group-permissions")
    plans = None
    if not shipped or values.get("existing_plans_devices"):
        # Nothing is written beside the shipped profile: it may belong to another user.
        plans = _file(values.get("existing_plans_devices"), base, PLANS_FILE, "--existing-plans-devices")
    ipython_dir = values.get("ipython_dir")
    return {
        "startup_kind": kind,
        "startup": startup,
        "ipython_dir": str(_absolute(ipython_dir)) if ipython_dir else None,
        "user_group_permissions": permissions,
        "existing_plans_devices": plans,
    }


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


def _profile_directory(values: Mapping[str, Any], environ: Mapping[str, str]) -> Path | None:
    """Startup directory of the IPython profile that is named or implied by an IPython directory; None:
    none is."""
    name, root = values.get("startup_profile"), values.get("ipython_dir")
    if not name and not root:
        return None
    base = _absolute(root or environ.get("IPYTHONDIR") or "~/.ipython")
    directory = base / f"profile_{name or 'default'}" / "startup"
    if not directory.is_dir():
        raise SettingsError(f"The startup directory {directory} of the IPython profile does not exist.")
    return directory


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
