"""`python -m curator` is `curate`."""

from curator.cli import main

main()
