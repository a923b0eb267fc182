#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants a violation of each rule of includes.py in a copy of the sources, and demands that it is found."""
import sys

import includes

# What is planted, the file, a line to be added to it, and words of the message.
IN_SOURCES = [
    ('a lower layer includes a higher one', 'base/err.c', '#include "kv/kv.h"', 'base may not include'),
    ('kv includes format', 'kv/run.c', '#include "format/format.h"', 'kv may not include'),
    ('format includes kv', 'format/keys.c', '#include "kv/kv.h"', 'format may not include'),
    ('fs includes FUSE', 'fs/fs.c', '#include "fuse/fuse.h"', 'fs may not include'),
    ('fs includes an engine', 'fs/fs.c', '#include "kv/lmdb/planted.h"', 'fs may not include'),
    ('fuse includes an engine', 'fuse/server.c', '#include "kv/fdb/planted.h"', 'fuse may not include'),
    ('src includes a store of the tests', 'mount/serve.c', '#include "kv/testing/testing.h"',
     'mount may not include'),
    ('an engine includes the other', 'kv/lmdb/env.c', '#include "kv/fdb/planted.h"', 'kv/lmdb may not include'),
    ('a layer includes an engine', 'kv/layer/cache/cache.c', '#include "kv/lmdb/planted.h"',
     'kv/layer/cache may not include'),
    ('mount includes a command', 'mount/serve.c', '#include "cmd/cmd.h"', 'mount may not include'),
    ('a private header of another layer', 'cmd/keys.c', '#include "format/planted.h"', 'cmd may not include'),
    ('a header that only the own layer may have', 'mount/serve.c', '#include "fs/state.h"',
     'mount may not include'),
    ('a folder includes one above it', 'fs/inode/hints.c', '#include "fs/writeback/writeback.h"',
     'fs/inode may not include'),
    ('a folder includes a private header of another', 'fs/data/read.c', '#include "fs/writeback/planted.h"',
     'fs/data may not include'),
    ('the transport includes the operations', 'fuse/transport/classic.c', '#include "fuse/ops/ops.h"',
     'fuse/transport may not include'),
    ('a header named without its folder', 'fs/fs.c', '#include "state.h"', 'is not a path from src'),
    ('a system header of an engine', 'fs/fs.c', '#include <lmdb.h>', 'belongs to kv/lmdb'),
    ('a folder that the table does not know', 'fs/planted/planted.h', '', 'has no row'),
    ('a key byte', 'mount/serve.c', 'static const char planted[] = "\\xfe";', 'belongs to format'),
    ('the letter of a counter', 'mount/serve.c', 'fmt_key_meta_counter(k, \'n\');', 'belongs to format'),
    ('a range of keys', 'mount/serve.c', 'scan(slice_str("i"), slice_str("j"));', 'belongs to format'),
    ('first letters of keys', 'mount/serve.c', 'o = { .prefixes = "Midfg" };', 'belongs to format'),
]

# What is planted, what is replaced in includes.txt by what, and words of the message.
IN_WALLS = [
    ('an exception that is not needed', '[exceptions]', '[exceptions]\nbase | kv/kv.h', 'is not needed'),
    ('a circle that was cut', '[circles]', '[circles]\nbase/err | 4', 'has now 0 files'),
    ('a letter that is not needed', '[letters]', '[letters]\nbase/err.c', 'knows no letters'),
    ('a header that is not there', '| kv.h  ', '| kv.h absent.h', 'has no header absent.h'),
]


def main():
    table, sources = includes.read_tree()
    # A private header in each folder, which nothing includes.
    for folder in {includes.folder_of(name) for name in sources}:
        sources[f'{folder}/planted.h'] = ''
    before = includes.check(table, sources)
    failures = 0

    def expect(title, table, sources, words):
        nonlocal failures
        found = [line for line in includes.check(table, sources) if line not in before]
        if not any(words in line for line in found):
            print(f'not found: {title}: {found}')
            failures += 1

    for title, name, line, words in IN_SOURCES:
        expect(title, table, {**sources, name: sources.get(name, '') + line + '\n'}, words)
    for title, old, new, words in IN_WALLS:
        assert old in table, f'includes.txt has no {old}'
        expect(title, table.replace(old, new, 1), sources, words)
    ring = [f'base/ring{i}' for i in range(4)]
    circle = {f'{name}.h': f'#include "{ring[i - 1]}.h"\n' for i, name in enumerate(ring)}
    expect('a circle of four files', table, {**sources, **circle}, 'a circle of 4 files: base/ring0')

    print(f'{len(IN_SOURCES) + len(IN_WALLS) + 1} violations planted, {failures} not found')
    sys.exit(1 if failures else 0)


if __name__ == '__main__':
    main()
