"""What a child of the keeper may still do.

Law: a worker keeps CAP_NET_ADMIN, without which verdicts fail silently, and nothing else; it never gets more. Every
child dies with the keeper.
"""

import ctypes
import os
import signal

CAP_NET_ADMIN = 12
LAST_CAPABILITY = 63
"""Numbers up to it are tried; the kernel refuses those that it does not know."""
PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    """`struct __user_cap_header_struct`."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    """`struct __user_cap_data_struct`: 32 capabilities each."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def die_with(parent: int) -> None:
    """The kernel kills this process when `parent` ends, also when it has ended already."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def confine() -> None:
    """Gives up every capability but CAP_NET_ADMIN, for good: no program that is executed can bring one back."""
    for capability in range(LAST_CAPABILITY + 1):
        if capability != CAP_NET_ADMIN:
            _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # EINVAL past the kernel's last; EPERM: not ours to drop
    _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    header = _Header(CAPABILITY_VERSION_3, 0)
    kept = 1 << CAP_NET_ADMIN
    data = (_Data * 2)(_Data(kept, kept, 0), _Data(0, 0, 0))
    if _libc.capset(ctypes.byref(header), data):
        raise OSError(ctypes.get_errno(), "capset")


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option}")
