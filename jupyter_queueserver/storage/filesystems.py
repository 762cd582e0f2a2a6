"""Whether a directory lies on a network file system, where SQLite's shared memory (WAL) must not be used."""

from __future__ import annotations

from pathlib import Path

_NETWORK = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "panfs",
        "smb3",
        "smbfs",
        "virtiofs",
    }
)


def is_on_network(directory: Path, mounts: str | None = None) -> bool:
    """Tell whether a directory lies on a network file system; False where that cannot be found out.

    Parameters
    ----------
    mounts
        Text in the form of ``/proc/mounts``; None: that file itself.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return False
    place = directory.resolve()
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        mounted = Path(_unescaped(fields[1]))
        depth = len(mounted.parts)
        if depth >= best and place.is_relative_to(mounted):  # of two mounts at one place the later one counts
            best, kind = depth, fields[2]
    return kind in _NETWORK


def _unescaped(text: str) -> str:
    """Blanks and the like are written as octal numbers there."""
    for code in ("\\040", "\\011", "\\012", "\\134"):
        text = text.replace(code, chr(int(code[1:], 8)))
    return text
