"""Numbers and layouts of WASI preview 1, from its witx definitions, and every function's parameters.

`wasi_unstable` is the older name. Its functions have the same parameters; what differs is where `fd_seek` counts from,
how a file is described, and what `poll_oneoff` reads.
"""

from __future__ import annotations

import errno
import stat
from typing import Final

MODULES = ("wasi_snapshot_preview1", "wasi_unstable")

SUCCESS: Final = 0
BADF: Final = 8
FBIG: Final = 22
INVAL: Final = 28
IO: Final = 29
ISDIR: Final = 31
MFILE: Final = 33
NAMETOOLONG: Final = 37
NOENT: Final = 44
NOSYS: Final = 52
NOTDIR: Final = 54
NOTSUP: Final = 58
PERM: Final = 63
PIPE: Final = 64
ROFS: Final = 69
SPIPE: Final = 70
NOTCAPABLE: Final = 76

OF_THE_SYSTEM: dict[int, int] = {
    errno.EACCES: 2,
    errno.EAGAIN: 6,
    errno.EBADF: BADF,
    errno.EBUSY: 10,
    errno.EDQUOT: 19,
    errno.EEXIST: 20,
    errno.EFBIG: FBIG,
    errno.EINTR: 27,
    errno.EINVAL: INVAL,
    errno.EIO: IO,
    errno.EISDIR: ISDIR,
    errno.ELOOP: 32,
    errno.EMFILE: MFILE,
    errno.EMLINK: 34,
    errno.ENAMETOOLONG: NAMETOOLONG,
    errno.ENFILE: 41,
    errno.ENODEV: 43,
    errno.ENOENT: NOENT,
    errno.ENOMEM: 48,
    errno.ENOSPC: 51,
    errno.ENOSYS: NOSYS,
    errno.ENOTDIR: NOTDIR,
    errno.ENOTEMPTY: 55,
    errno.ENOTSUP: NOTSUP,
    errno.ENXIO: 60,
    errno.EOVERFLOW: 61,
    errno.EPERM: PERM,
    errno.EROFS: ROFS,
    errno.ESPIPE: SPIPE,
    errno.ESTALE: 72,
    errno.ETXTBSY: 74,
    errno.EXDEV: 75,
}
"""What the system's errors are called here; any other is an `IO`."""

UNKNOWN_KIND, CHARACTER_DEVICE, DIRECTORY, REGULAR_FILE, SYMBOLIC_LINK = 0, 2, 3, 4, 7

FD_READ, FD_SEEK, FD_TELL, FD_WRITE, FD_ALLOCATE = 1 << 1, 1 << 2, 1 << 5, 1 << 6, 1 << 8
FD_FILESTAT_SET_SIZE = 1 << 22
NEEDS_WRITING = FD_WRITE | FD_ALLOCATE | FD_FILESTAT_SET_SIZE
ALL_RIGHTS = (1 << 29) - 1

FOLLOW_LAST = 1
"""Of a path's lookup flags."""
CREATE, MUST_BE_DIRECTORY, EXCLUSIVE, TRUNCATE = 1, 2, 4, 8
"""How a path is opened."""
APPEND = 1
"""Of a descriptor's flags, the one that changes anything here."""

PARAMETERS: dict[str, str] = {
    "args_get": "ii",
    "args_sizes_get": "ii",
    "clock_res_get": "ii",
    "clock_time_get": "ili",
    "environ_get": "ii",
    "environ_sizes_get": "ii",
    "fd_advise": "illi",
    "fd_allocate": "ill",
    "fd_close": "i",
    "fd_datasync": "i",
    "fd_fdstat_get": "ii",
    "fd_fdstat_set_flags": "ii",
    "fd_fdstat_set_rights": "ill",
    "fd_filestat_get": "ii",
    "fd_filestat_set_size": "il",
    "fd_filestat_set_times": "illi",
    "fd_pread": "iiili",
    "fd_prestat_dir_name": "iii",
    "fd_prestat_get": "ii",
    "fd_pwrite": "iiili",
    "fd_read": "iiii",
    "fd_readdir": "iiili",
    "fd_renumber": "ii",
    "fd_seek": "ilii",
    "fd_sync": "i",
    "fd_tell": "ii",
    "fd_write": "iiii",
    "path_create_directory": "iii",
    "path_filestat_get": "iiiii",
    "path_filestat_set_times": "iiiilli",
    "path_link": "iiiiiii",
    "path_open": "iiiiillii",
    "path_readlink": "iiiiii",
    "path_remove_directory": "iii",
    "path_rename": "iiiiii",
    "path_symlink": "iiiii",
    "path_unlink_file": "iii",
    "poll_oneoff": "iiii",
    "proc_exit": "i",
    "proc_raise": "i",
    "random_get": "ii",
    "sched_yield": "",
    "sock_accept": "iii",
    "sock_recv": "iiiiii",
    "sock_send": "iiiii",
    "sock_shutdown": "ii",
}
"""All functions of the interface. Each gives an error number, but `proc_exit`, which gives nothing."""

SOCKETS = ("sock_accept", "sock_recv", "sock_send", "sock_shutdown")


def of_system(error: OSError) -> int:
    return OF_THE_SYSTEM.get(error.errno or 0, IO)


def kind_of(mode: int) -> int:
    """A file type of `st_mode` as it is called here."""
    if stat.S_ISREG(mode):
        return REGULAR_FILE
    if stat.S_ISDIR(mode):
        return DIRECTORY
    if stat.S_ISLNK(mode):
        return SYMBOLIC_LINK
    return CHARACTER_DEVICE if stat.S_ISCHR(mode) else UNKNOWN_KIND
