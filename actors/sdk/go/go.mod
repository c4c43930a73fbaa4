module nanolattice

go 1.24
