"""Asks for a module in each of kerneld's four layouts; prints layout and status of each answer."""
import ctypes
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.msgrcv.restype = ctypes.c_ssize_t
libc.msgsnd.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.msgrcv.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long, ctypes.c_int]

HEADERS = {"ilp32-old": "<i", "ilp32-new": "<iHh", "lp64-old": "<q", "lp64-new": "<qHh"}
PID = 0x1234


def ask(queue, layout, answer_id, name):
    header = HEADERS[layout]
    rest = (2, PID) if layout.endswith("new") else ()
    mtext = struct.pack(header, answer_id, *rest) + name
    message = ctypes.create_string_buffer(struct.pack("<q", 2) + mtext)
    if libc.msgsnd(queue, message, len(mtext), 0) != 0:
        sys.exit(f"msgsnd: errno {ctypes.get_errno()}")
    answer = ctypes.create_string_buffer(8 + 1024)
    length = libc.msgrcv(queue, answer, 1024, answer_id, 0)
    if length != struct.calcsize(header):
        sys.exit(f"{layout}: an answer of {length} bytes")
    status, *told = struct.unpack_from(header, answer, 8)
    if tuple(told) != rest:
        sys.exit(f"{layout}: version and pid came back as {told}")
    return status


queue = libc.msgget(int(sys.argv[1]), 0)
for number, layout in enumerate(HEADERS, start=3):
    print(layout, ask(queue, layout, 7000 + number, b"exit%d" % number))
