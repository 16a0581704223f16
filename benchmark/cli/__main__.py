"""`python -m benchmark.cli`, as `malbench`."""

from benchmark.cli import main

if __name__ == "__main__":
    main()
