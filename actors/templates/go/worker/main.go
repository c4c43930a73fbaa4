// Takes texts as jobs, counts their words, keeps and publishes the results.
package main

import (
	"strconv"
	"strings"

	lattice "nanolattice"
)

type Job struct {
	ID    string `json:"id"`
	Words int    `json:"words"`
}

func work(job *lattice.Message) error {
	id := strings.TrimPrefix(job.Subject, "jobs.")
	words := strconv.Itoa(len(strings.Fields(string(job.Body))))
	if err := lattice.KeyValue.Set("words:"+id, words); err != nil {
		return err
	}
	results := lattice.Blobs.Container("results")
	if err := results.Create(); err != nil {
		return err
	}
	if err := results.Put(id, "text/plain", []byte(words+" words")); err != nil {
		return err
	}
	return lattice.Messaging.Publish("done."+id, []byte(words))
}

func begin(request *lattice.Request) (*lattice.Response, error) {
	id := request.Parameter("id")
	return lattice.JSON(202, map[string]string{"id": id}), lattice.Messaging.Publish("jobs."+id, request.Body)
}

func look(request *lattice.Request) (*lattice.Response, error) {
	job := Job{ID: request.Parameter("id")}
	found, err := lattice.KeyValue.GetJSON("words:"+job.ID, &job.Words)
	if err == nil && !found {
		err = lattice.NotFound("no job " + job.ID + " is done")
	}
	return lattice.JSON(200, job), err
}

func init() {
	lattice.OnMessage("jobs.*", work)
	lattice.Post("/jobs/{id}", begin)
	lattice.Get("/jobs/{id}", look)
}

func main() {} // never run: the host calls what init registered
