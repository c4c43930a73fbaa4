// Package nanolattice is for actors in Go. An actor names its handlers in init:
//
//	package main
//
//	import lattice "nanolattice"
//
//	type Person struct {
//		Name string `json:"name"`
//		Age  uint8  `json:"age"`
//	}
//
//	func add(request *lattice.Request) (*lattice.Response, error) {
//		person, err := lattice.ReadJSON[Person](request)
//		if err != nil {
//			return nil, err
//		}
//		return lattice.JSON(201, person), lattice.KeyValue.SetJSON("people:"+person.Name, person)
//	}
//
//	func init() { lattice.Post("/people", add) }
//
//	func main() {}
//
// main is never run: the host calls what init registered. Nothing may be kept from call to call: keep state in a
// capability. An error that a handler returns becomes an HTTP answer by its code, or fails the call where it was no HTTP
// request.
//
// Capabilities go over the link "default"; lattice.KeyValue.Open("cache") goes over the link of that name.
package nanolattice
