"""`python -m lattice`, the same as `lattice`."""

from lattice.cli import main

main()
