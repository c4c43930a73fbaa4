package main

import lattice "nanolattice"

type Person struct {
	Name string `json:"name"`
	Age  uint8  `json:"age"`
}

func add(request *lattice.Request) (*lattice.Response, error) {
	person, err := lattice.ReadJSON[Person](request)
	if err != nil {
		return nil, err
	}
	return lattice.JSON(201, person), lattice.KeyValue.SetJSON("people:"+person.Name, person)
}

func init() { lattice.Post("/people", add) }

func main() {}
