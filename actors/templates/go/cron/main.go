// Counts the ticks of a timer, and says how many there were.
package main

import (
	"strconv"

	lattice "nanolattice"
)

type Ticks struct {
	Ticks int64 `json:"ticks"`
	Last  int64 `json:"last"`
}

func tick(tick *lattice.Tick) error {
	if _, err := lattice.KeyValue.Increment("ticks", 1); err != nil {
		return err
	}
	return lattice.KeyValue.Set("last", strconv.FormatInt(tick.ScheduledMs, 10))
}

func answer(*lattice.Request) (*lattice.Response, error) {
	var ticks Ticks
	if _, err := lattice.KeyValue.GetJSON("ticks", &ticks.Ticks); err != nil {
		return nil, err
	}
	_, err := lattice.KeyValue.GetJSON("last", &ticks.Last)
	return lattice.JSON(200, ticks), err
}

func init() {
	lattice.OnTick(tick)
	lattice.Get("/", answer)
}

func main() {} // never run: the host calls what init registered
