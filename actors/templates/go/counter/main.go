// Counts the requests to each path.
package main

import lattice "nanolattice"

func count(request *lattice.Request) (*lattice.Response, error) {
	count, err := lattice.KeyValue.Increment("count:"+request.Path, 1)
	return lattice.JSON(200, map[string]int32{"count": count}), err
}

func init() { lattice.Get("/{path...}", count) }

func main() {} // never run: the host calls what init registered
