"""Runs a benchmark: ``python -m tests.bench [imports|desk] [its arguments]``; imports unless told otherwise."""

import sys

from tests.bench import desk, imports

BENCHMARKS = {"imports": imports.main, "desk": desk.main}

if __name__ == "__main__":
    name = sys.argv.pop(1) if sys.argv[1:2] and sys.argv[1] in BENCHMARKS else "imports"
    sys.exit(BENCHMARKS[name]())
