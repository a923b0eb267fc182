#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants a violation of each rule of includes.py in a copy of src, and demands that it is found."""
import pathlib
import shutil
import sys
import tempfile

import includes

ROOT = pathlib.Path(__file__).parents[2]
WALLS = 'tests/style/walls.txt'

# What is planted, the file (with a header or a line to be added, or NEW: the whole of it), and words of the message.
PLANTS = [
    ('a lower layer includes a higher one', 'src/base/err.c', '#include "kv/kv.h"', 'base may not include'),
    ('kv includes format', 'src/kv/run.c', '#include "format/format.h"', 'kv may not include'),
    ('format includes kv', 'src/format/keys.c', '#include "kv/kv.h"', 'format may not include'),
    ('fs includes FUSE', 'src/fs/fs.c', '#include "fuse/fuse.h"', 'fs may not include'),
    ('fs includes an engine', 'src/fs/fs.c', '#include "kv/lmdb/internal.h"', 'fs may not include'),
    ('fuse includes an engine', 'src/fuse/server.c', '#include "kv/fdb/library.h"', 'fuse may not include'),
    ('src includes a store of the tests', 'src/mount/serve.c', '#include "kv/testing/testing.h"',
     'mount may not include'),
    ('an engine includes the other', 'src/kv/lmdb/env.c', '#include "kv/fdb/library.h"', 'kv/lmdb may not include'),
    ('a layer includes an engine', 'src/kv/layer/cache/cache.c', '#include "kv/lmdb/key.h"',
     'kv/layer/cache may not include'),
    ('mount includes a command', 'src/mount/serve.c', '#include "cmd/cmd.h"', 'mount may not include'),
    ('a private header of another layer', 'src/cmd/keys.c', '#include "format/tags.h"', 'cmd may not include'),
    ('a header that only the own layer may have', 'src/mount/serve.c', '#include "fs/state.h"',
     'mount may not include'),
    ('a room includes one above it', 'src/fs/inode/hints.c', '#include "fs/writeback/writeback.h"',
     'fs/inode may not include'),
    ('a room includes a private header of another', 'src/fs/data/read.c', '#include "fs/writeback/internal.h"',
     'fs/data may not include'),
    ('the transport includes the operations', 'src/fuse/transport/classic.c', '#include "fuse/ops/ops.h"',
     'fuse/transport may not include'),
    ('a header named without its folder', 'src/fs/fs.c', '#include "state.h"', 'is not a path from src'),
    ('a system header of an engine', 'src/fs/fs.c', '#include <lmdb.h>', 'belongs to kv/lmdb'),
    ('a folder that the table does not know', 'src/fs/planted/planted.h', '', 'has no row'),
    ('an exception that is not needed', WALLS, ('[exceptions]', '[exceptions]\nbase | kv/kv.h'), 'is not needed'),
    ('a circle that was cut', WALLS, ('[circles]', '[circles]\nbase/err | 4'), 'has now 0 files'),
    ('a letter that is not needed', WALLS, ('[letters]', '[letters]\nbase/err.c'), 'knows no letters'),
    ('a header that is not there', WALLS, ('| kv.h  ', '| kv.h planted.h'), 'has no header planted.h'),
    ('a key byte', 'src/mount/serve.c', 'static const char planted[] = "\\xfe";', 'belongs to format'),
    ('the letter of a counter', 'src/mount/serve.c', 'fmt_key_meta_counter(k, \'n\');', 'belongs to format'),
    ('a range of keys', 'src/mount/serve.c', 'scan(slice_str("i"), slice_str("j"));', 'belongs to format'),
    ('first letters of keys', 'src/mount/serve.c', 'o = { .prefixes = "Midfg" };', 'belongs to format'),
]


def plant(root, name, what):
    path = root / name
    path.parent.mkdir(exist_ok=True)
    text = path.read_text() if path.exists() else ''
    if isinstance(what, tuple):
        assert what[0] in text, f'{name} has no {what[0]}'
        text = text.replace(what[0], what[1], 1)
    else:
        text += what + '\n'
    path.write_text(text)
    return lambda: shutil.copyfile(ROOT / name, path) if (ROOT / name).exists() else path.unlink()


def plant_circle(root):
    names = [f'base/planted{i}' for i in range(4)]
    for i, name in enumerate(names):
        (root / f'src/{name}.h').write_text(f'#include "{names[(i + 1) % 4]}.h"\n')


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        shutil.copytree(ROOT / 'src', root / 'src')
        (root / WALLS).parent.mkdir(parents=True)
        shutil.copyfile(ROOT / WALLS, root / WALLS)

        def expect(title, words):
            nonlocal failures
            found = [line for line in includes.check(root) if line not in before]
            if not any(words in line for line in found):
                print(f'not found: {title}: {found}')
                failures += 1

        before = set()  # violations of the tree itself are the business of includes.py
        before.update(includes.check(root))
        for title, name, what, words in PLANTS:
            undo = plant(root, name, what)
            expect(title, words)
            undo()
        plant_circle(root)
        expect('a circle of four files', 'a circle of 4 files: base/planted0')
    print(f'{len(PLANTS) + 1} violations planted, {failures} not found')
    sys.exit(1 if failures else 0)


if __name__ == '__main__':
    main()
