"""`make bench`: every comparison, each in one run of one process, as tables."""

from benchmarks import asgi, charge, imports

if __name__ == "__main__":
    charge.main()
    asgi.main()
    imports.main()
