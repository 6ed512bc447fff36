"""Walks a person's paths over the console in a headless Chromium, against the real `allezon` with known tags.

Paths wait for what they want to see, for half a minute. --again gives a path that failed one more try, with another server and another
browser, and tells so; a path that fails twice has failed.

--self-test breaks the page in one way after the other, and each time the path that should notice must fail.
"""
import argparse
import os
import sys
import time
import traceback

from playwright.sync_api import Error as BrowserError

import breaks
import pictures
from paths import PATHS
from world import Failed, World

NAMES = {path.__name__: path for path in PATHS}


def main():
    parser = argparse.ArgumentParser(prog="functions/console/tests/browser/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PATH,...", help="these paths")
    parser.add_argument("--again", action="store_true", help="try a path that failed once more in a fresh world: for slow machines")
    parser.add_argument("--list", action="store_true", help="the paths, and what they try")
    parser.add_argument("--self-test", action="store_true", help="try the paths themselves")
    parser.add_argument("--pictures", action="store_true", help="write docs/console-*.png instead")
    parser.add_argument("--tree", action="store_true", help="the page as it is in the tree, not as it was built into the program")
    options = parser.parse_args()
    if options.list:
        for path in PATHS:
            print(f"{path.__name__:20} {path.__doc__}")
        return 0
    only = options.only.split(",") if options.only else list(NAMES)
    if unknown := set(only) - set(NAMES):
        sys.exit(f"no path {', '.join(sorted(unknown))}; --list tells all")
    if not os.access(os.environ["ALLEZON"], os.X_OK):
        sys.exit(f"{os.environ['ALLEZON']} is not there: cargo build -p embedded, or ALLEZON=...")
    world = World(options.tree)
    try:
        world.begin()
        if options.pictures:
            return pictures.take(world)
        if options.self_test:
            return self_test(world, only)
        return all_paths(world, only, options.again)
    finally:
        world.end()


def all_paths(world, only, again):
    failed, seconds = [], []
    for name in only:
        begin = time.monotonic()
        told, wrong = walked(world, NAMES[name])
        first = wrong
        if wrong and again:
            world.renew()
            told, wrong = walked(world, NAMES[name])
        verdict = "FAILED" if wrong else "ok, at the second try:" if first else "ok"
        print(f"{verdict:6} {name} ({time.monotonic() - begin:.0f} s){f': {told}' if told else ''}", flush=True)
        if first:
            print(f"       {first}", flush=True)
        if wrong:
            failed.append(name)
            if again:
                print(f"       and again: {wrong}", flush=True)
        elif first:
            seconds.append(name)
    print(f"{len(only) - len(failed)} of {len(only)} paths" + "".join(
        f", {what}: {', '.join(names)}" for what, names in (("at the second try", seconds), ("failed", failed)) if names))
    return 1 if failed else 0


def walked(world, path):
    """What the path tells, and what is wrong."""
    told, wrong = None, []
    try:
        told = path(world)
    except (Failed, BrowserError) as error:
        wrong.append(str(error))
    except Exception:
        wrong.append(traceback.format_exc())
    finally:
        wrong += world.close_pages()
        if not world.allezon.child:
            world.allezon.start()
    return told, "\n       ".join(wrong)


def self_test(world, only):
    missed = []
    for name, file, old, new, why in breaks.BREAKS:
        if name not in only:
            continue
        world.breaks = [(file, old, new)]
        _, wrong = walked(world, NAMES[name])
        print(f"{'ok' if wrong else 'MISSED':7}{name}: {why}", flush=True)
        if wrong:
            print(f"       {wrong.splitlines()[0][:200]}", flush=True)
        else:
            missed.append(why)
    print(f"{len(missed)} of the breaks were not noticed" if missed else "each break was noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
