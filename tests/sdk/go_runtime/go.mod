module runtime-test

go 1.24

require nanolattice v0.0.0

replace nanolattice => ./.lattice/sdk/go
