module {{name}}

go 1.24

require nanolattice v0.0.0

// Put there by `lattice build`; editors and `go test` find it after the first build.
replace nanolattice => ./.lattice/sdk/go
