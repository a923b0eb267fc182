#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the fuzz targets' corpus from the examples of docs/FORMAT.md: run it when those change.

usage: tests/format/corpus.py, in the root of the source tree. Files whose names do not begin with
"format-" (inputs that once failed) are left alone.
"""
import pathlib
import re

HERE = pathlib.Path('tests/format/corpus')
EXAMPLE = re.compile(r'^```example\n(.*?)^```$', re.S | re.M)

# As in enum fmt_kind.
(META, META_COUNTER, INODE, LOCK, USE, XATTR, ATTR, DIRENT, BLOCK, GARBAGE, PROCESS, STATUS) = range(12)


def examples():
    """Yields the key and the value of each example."""
    for block in EXAMPLE.findall(pathlib.Path('docs/FORMAT.md').read_text()):
        pair = {'key': b'', 'value': b''}
        for line in block.splitlines():
            word, _, rest = line.partition(' ')
            if word in pair:
                pair[word] += bytes.fromhex(rest.split(';')[0])
        yield pair['key'], pair['value']


def kind(key):
    tag = key[:1]
    if tag == b'M':
        return META if len(key) == 1 else META_COUNTER
    if tag == b'i':
        return INODE if len(key) == 9 else {0: LOCK, 1: USE, 2: XATTR, 0xfe: ATTR}[key[9]]
    if tag == b'p':
        return STATUS if key[1:2] == b'l' else PROCESS
    return {b'd': DIRENT, b'f': BLOCK, b'g': GARBAGE}[tag]


def write(target, number, data):
    folder = HERE / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'format-{number:02}').write_bytes(data)


def main():
    for old in HERE.glob('*/format-*'):
        old.unlink()
    for number, (key, value) in enumerate(examples()):
        write('key', number, key)
        write('describe', number, len(key).to_bytes(2, 'little') + key + value)
        if kind(key) == BLOCK:
            compressed = key[17:18] == b'z'
            write('block', number, bytes([compressed, key[19] if compressed else 0, 0]) + value)
        elif kind(key) != XATTR:
            write('value', number, bytes([kind(key), key[-1]]) + value)


main()
