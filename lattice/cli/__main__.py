"""`python -m lattice.cli`, the same as `lattice`."""

from lattice.cli import main

main()
