#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks which folders of src include which headers.

Fails on an #include that includes.txt does not allow, on a circle of more than three files, and on code outside
src/format that knows letters of keys. test_includes.py plants a violation of each rule."""
import fnmatch
import functools
import pathlib
import re
import sys

CIRCLE_MAX = 3
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)
COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
GENERATED = {'format/ashlar.pb-c.h'}

# Code that knows letters of keys, in a file without its comments.
LETTERS = [
    (re.compile(r'\\xfe|\b0xfe\b', re.I), 'the byte \\xfe'),
    (re.compile(r'_counter\w*\([^;]*\''), 'the letter of a counter'),
    (re.compile(r'\bwhich [=!]= \''), 'the letter of a counter or an attribute'),
    (re.compile(r'\bpid\[0\] [=!]= \''), 'the letter behind \'p\''),
    (re.compile(r'\.prefixes = "'), 'first letters of keys'),
    (re.compile(r'\bslice_str\("[Mdefghijpq]"\)'), 'a range of keys'),
    (re.compile(r'\{ "[^"]?", "(?:[a-zA-Z]|\\xff[^"]*)" \}'), 'a range of keys'),
]


def read_rules(text):
    """The sections of includes.txt, each a list of rows of cells."""
    sections = {}
    for line in text.splitlines():
        line = line.split('#')[0].strip()
        if line.startswith('['):
            rows = sections.setdefault(line.strip('[]'), [])
        elif line:
            rows.append([cell.strip() for cell in line.split('|')])
    return sections


def read_sources(src):
    return {str(p.relative_to(src)): p.read_text() for p in sorted(src.rglob('*.[ch]'))}


@functools.lru_cache(maxsize=None)
def includes_of(text):
    """Pairs of which one is empty: a header in quotes, a header in brackets."""
    return INCLUDE.findall(text)


@functools.lru_cache(maxsize=None)
def letters_in(text):
    """Pairs of what was found and what it is."""
    code = COMMENT_OR_STRING.sub(lambda m: ' ' if m[0][0] == '/' else m[0], text)
    found = [(pattern.search(code), what) for pattern, what in LETTERS]
    return [(match[0], what) for match, what in found if match]


def folder_of(name):
    return name.rpartition('/')[0]


def shown(header, patterns):
    return any(fnmatch.fnmatchcase(header, p) for p in patterns.split())


class Rules:
    def __init__(self, sections):
        self.folders = {row[0]: row[1:] for row in sections['folders']}
        self.system = sections['system headers']
        self.exceptions = {(row[0], row[1]): False for row in sections['exceptions']}
        self.circles = {row[0]: int(row[1]) for row in sections['circles']}
        self.letters = {row[0]: False for row in sections['letters']}

    def allows(self, folder, header):
        home, _, base = header.rpartition('/')
        if home == folder:
            return True
        if home not in self.folders or home not in self.folders[folder][2].split():
            return False
        public, inner, _ = self.folders[home]
        if home.split('/')[0] == folder.split('/')[0]:
            public += ' ' + inner
        return shown(base, public)

    def excepted(self, folder, header):
        if (folder, header) not in self.exceptions:
            return False
        self.exceptions[folder, header] = True
        return True


def check_table(rules, sources):
    folders = {folder_of(name) for name in sources}
    for folder in sorted(folders - set(rules.folders)):
        yield f'src/{folder}: includes.txt has no row for this folder'
    for folder, (public, inner, includes) in rules.folders.items():
        for other in includes.split():
            if other not in rules.folders:
                yield f'includes.txt: {folder} includes {other}, which has no row'
        if folder not in folders:
            yield f'includes.txt: there is no folder {folder}'
            continue
        headers = [name.rpartition('/')[2] for name in sources if folder_of(name) == folder]
        for pattern in (public + ' ' + inner).split():
            if not fnmatch.filter(headers, pattern):
                yield f'includes.txt: {folder} has no header {pattern}'


def check_includes(rules, sources):
    for name, text in sources.items():
        folder = folder_of(name)
        if folder not in rules.folders:
            continue
        for quoted, system in includes_of(text):
            if system:
                for pattern, only in rules.system:
                    if fnmatch.fnmatchcase(system, pattern) and folder not in only.split():
                        yield f'src/{name}: <{system}> belongs to {only}'
            elif quoted not in sources and quoted not in GENERATED:
                yield f'src/{name}: "{quoted}" is not a path from src'
            elif not rules.allows(folder, quoted) and not rules.excepted(folder, quoted):
                yield f'src/{name}: {folder} may not include "{quoted}"'
    for (folder, header), used in rules.exceptions.items():
        if not used:
            yield f'includes.txt: the exception "{folder} | {header}" is not needed'


def circles(sources):
    """The strongly connected components of the files, where a .c and its .h are one, by Tarjan's algorithm."""
    graph = {}
    for name, text in sources.items():
        edges = graph.setdefault(name[:-2], set())
        edges.update(q[:-2] for q, _ in includes_of(text) if q in sources)
    index, low, stack, result = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            result.append(sorted(stack[at:]))
            del stack[at:]

    for node in graph:
        if node not in index:
            visit(node)
    return result


def check_circles(rules, sources):
    found = {c[0]: c for c in circles(sources) if len(c) > CIRCLE_MAX}
    for first, files in found.items():
        if len(files) > rules.circles.get(first, 0):
            yield f'a circle of {len(files)} files: {" ".join(files)}'
    for first, size in rules.circles.items():
        if len(found.get(first, [])) < size:
            yield f'includes.txt: the circle "{first} | {size}" has now {len(found.get(first, []))} files'


def check_letters(rules, sources):
    for name, text in sources.items():
        if folder_of(name) == 'format':
            continue
        for match, what in letters_in(text):
            if name not in rules.letters:
                yield f'src/{name}: {what} belongs to format: {match}'
            else:
                rules.letters[name] = True
    for name, used in rules.letters.items():
        if not used:
            yield f'includes.txt: {name} knows no letters any more'


def check(table, sources):
    """The violations in SOURCES (paths from src to texts) of the text of includes.txt, one line each."""
    rules = Rules(read_rules(table))
    problems = []
    for rule in check_table, check_includes, check_circles, check_letters:
        problems.extend(rule(rules, sources))
    return problems


def read_tree():
    here = pathlib.Path(__file__)
    return here.with_name('includes.txt').read_text(), read_sources(here.parents[2] / 'src')


def main():
    problems = check(*read_tree())
    for line in problems:
        print(line)
    sys.exit(1 if problems else 0)


if __name__ == '__main__':
    main()
