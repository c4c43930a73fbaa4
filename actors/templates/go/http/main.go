// Takes people as JSON, checks and keeps them.
package main

import lattice "nanolattice"

type Person struct {
	Name string `json:"name"`
	Age  uint32 `json:"age"`
}

func about(*lattice.Request) (*lattice.Response, error) {
	return lattice.JSON(200, map[string]string{"actor": "{{name}}"}), nil
}

func add(request *lattice.Request) (*lattice.Response, error) {
	person, err := lattice.ReadJSON[Person](request)
	if err != nil {
		return nil, err
	}
	return lattice.JSON(201, person), lattice.KeyValue.SetJSON("people:"+person.Name, person)
}

func find(request *lattice.Request) (*lattice.Response, error) {
	var person Person
	name := request.Parameter("name")
	found, err := lattice.KeyValue.GetJSON("people:"+name, &person)
	if err == nil && !found {
		err = lattice.NotFound(name + " is not known")
	}
	return lattice.JSON(200, person), err
}

func init() {
	lattice.Get("/", about)
	lattice.Post("/people", add)
	lattice.Get("/people/{name}", find)
}

func main() {} // never run: the host calls what init registered
