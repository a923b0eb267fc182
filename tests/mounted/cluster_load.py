# SPDX-License-Identifier: MIT
"""Writes into a mount until a signal stops it, recording what was acknowledged; or compares.

    cluster_load.py write DIR ACCOUNT STOP     works below DIR until the file STOP exists
    cluster_load.py compare DIR ACCOUNT        DIR holds what the account says

A file's content follows from its name and generation. The account gets a line before and after each step, so that
what was under way when this process ended may be there or not. Prints the seed that replays the steps
(ASHLAR_SEED).
"""
import hashlib, os, random, sys

FILES = 40


def content(name, generation):
    seed = hashlib.sha256(b"%s %d" % (name.encode(), generation)).digest()
    # Up to some blocks; now and then more than one transaction.
    size = int.from_bytes(seed[:2], "little") + (1500000 if seed[2] < 8 else 0)
    return (seed * (size // len(seed) + 1))[:size]


def put(path, data, sync):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]
    if sync:
        os.fsync(fd)
    os.close(fd)


def write(directory, account, stop):
    seed = int(os.environ.get("ASHLAR_SEED") or int.from_bytes(os.urandom(4), "little"))
    print("ASHLAR_SEED=%d" % seed, flush=True)
    rng = random.Random("%d %s" % (seed, os.path.basename(directory)))
    os.mkdir(directory)
    generation = 0
    with open(account, "w", buffering=1) as log:
        while not os.path.exists(stop):
            generation += 1
            name = "f%02d" % rng.randrange(FILES)
            path = os.path.join(directory, name)
            what = rng.choice(["put", "put", "replace", "replace", "unlink"])
            log.write("%s %d %s\n" % (name, generation, what))
            if what == "put":
                put(path, content(name, generation), rng.random() < 0.5)
            elif what == "replace":
                put(path + ".new", content(name, generation), True)
                os.rename(path + ".new", path)
            else:
                try:
                    os.unlink(path)
                except FileNotFoundError:
                    pass
            # Read acknowledged data back, also while processes are down.
            if what != "unlink":
                with open(path, "rb") as f:
                    assert f.read() == content(name, generation), path
            log.write("%s %d done\n" % (name, generation))
    print("%s: %d steps" % (directory, generation), flush=True)


def compare(directory, account):
    expected = {}
    for line in open(account):
        name, generation, what = line.split()
        if what != "done":
            expected[name] = (int(generation), what)
    for name, (generation, what) in sorted(expected.items()):
        path = os.path.join(directory, name)
        if what == "unlink":
            assert not os.path.exists(path), path + " is back"
            continue
        with open(path, "rb") as f:
            got = f.read()
        if got != content(name, generation):
            sys.exit("%s is not generation %d: %d bytes, %d of them zero" % (path, generation, len(got),
                                                                            got.count(0)))
    there = set(os.listdir(directory))
    wanted = {name for name, (_, what) in expected.items() if what != "unlink"}
    assert there == wanted, (sorted(there - wanted), sorted(wanted - there))


{"write": write, "compare": compare}[sys.argv[1]](*sys.argv[2:])
