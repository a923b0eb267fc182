#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/fuse/corpus/request: one request of each kind, for fuzz_request. Run in the root of the tree.

Files whose names do not begin with "request-" (inputs that once failed) are left alone.
"""
import pathlib
import struct

HERE = pathlib.Path('tests/fuse/corpus/request')

# Opcode, name, bytes behind the header.
REQUESTS = [
    (1, 'lookup', b'name\0'), (2, 'forget', struct.pack('<Q', 3)), (3, 'getattr', struct.pack('<IIQ', 1, 0, 9)),
    (4, 'setattr', struct.pack('<IIQQQQQQIIIIIIII', 0x9ff, 0, 9, 100, 1, 2, 3, 4, 5, 6, 7, 0o100644, 0, 1, 2, 0)),
    (5, 'readlink', b''), (6, 'symlink', b'name\0target\0'), (8, 'mknod', struct.pack('<IIII', 0o10644, 0, 18, 0)
                                                            + b'name\0'),
    (9, 'mkdir', struct.pack('<II', 0o755, 18) + b'name\0'), (10, 'unlink', b'name\0'), (11, 'rmdir', b'name\0'),
    (12, 'rename', struct.pack('<Q', 8) + b'a\0b\0'), (13, 'link', struct.pack('<Q', 8) + b'name\0'),
    (14, 'open', struct.pack('<II', 2, 1)), (15, 'read', struct.pack('<QQIIQII', 9, 4096, 4096, 0, 0, 0, 0)),
    (16, 'write', struct.pack('<QQIIQII', 9, 0, 4, 4, 0, 0, 0) + b'data'), (17, 'statfs', b''),
    (18, 'release', struct.pack('<QIIQ', 9, 0, 2, 1)), (20, 'fsync', struct.pack('<QII', 9, 1, 0)),
    (21, 'setxattr', struct.pack('<II', 5, 0) + b'user.a\0value'),
    (22, 'getxattr', struct.pack('<II', 10, 0) + b'user.a\0'), (23, 'listxattr', struct.pack('<II', 10, 0)),
    (24, 'removexattr', b'user.a\0'), (25, 'flush', struct.pack('<QIIQ', 9, 0, 0, 1)),
    (27, 'opendir', struct.pack('<II', 0, 0)), (28, 'readdir', struct.pack('<QQIIQII', 9, 3, 4096, 0, 0, 0, 0)),
    (29, 'releasedir', struct.pack('<QIIQ', 9, 0, 0, 0)), (30, 'fsyncdir', struct.pack('<QII', 9, 1, 0)),
    (31, 'getlk', struct.pack('<QQQQIIII', 9, 1, 0, 9, 0, 1, 0, 0)),
    (33, 'setlkw', struct.pack('<QQQQIIII', 9, 1, 0, 9, 1, 1, 1, 0)),
    (35, 'create', struct.pack('<IIII', 2, 0o100644, 18, 0) + b'name\0'), (36, 'interrupt', struct.pack('<Q', 40)),
    (38, 'destroy', b''), (42, 'batch-forget', struct.pack('<IIQQQQ', 2, 0, 3, 1, 4, 2)),
    (43, 'fallocate', struct.pack('<QQQII', 9, 0, 4096, 3, 0)),
    (44, 'readdirplus', struct.pack('<QQIIQII', 9, 3, 4096, 0, 0, 0, 0)),
    (45, 'rename2', struct.pack('<QII', 8, 1, 0) + b'a\0b\0'), (46, 'lseek', struct.pack('<QQII', 9, 0, 3, 0)),
    (47, 'copy', struct.pack('<QQQQQQQ', 9, 0, 8, 9, 4096, 1 << 20, 0)),
    (53, 'copy-64', struct.pack('<QQQQQQQ', 9, 0, 8, 9, 4096, 1 << 40, 0)),
    (50, 'syncfs', struct.pack('<Q', 0)), (51, 'tmpfile', struct.pack('<IIII', 2, 0o100600, 18, 0) + b'#1\0'),
    (52, 'statx', struct.pack('<IIQII', 1, 0, 9, 0, 0xfff)),
]

HERE.mkdir(parents=True, exist_ok=True)
for old in HERE.glob('request-*'):
    old.unlink()
for opcode, name, rest in REQUESTS:
    header = struct.pack('<IIQQIIIHH', 40 + len(rest), opcode, 42, 7, 1000, 1000, 1, 0, 0)
    (HERE / f'request-{name}').write_bytes(header + rest)
