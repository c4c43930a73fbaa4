// Counts the requests to each path, in files: a command has no key-value store.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
)

// Each request adds a byte to the file of its path. Where it landed is the count, also when others append meanwhile.
func count(path string) (int64, error) {
	file, err := os.OpenFile("/counts/"+url.QueryEscape(path), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if _, err := file.Write([]byte(".")); err != nil {
		return 0, err
	}
	return file.Seek(0, io.SeekCurrent)
}

func answer(status string, headers string, content any) {
	body, _ := json.Marshal(content)
	fmt.Printf("status: %s\ncontent-type: application/json\n%s\n%s\n", status, headers, body)
}

func main() {
	if os.Getenv("REQUEST_METHOD") != "GET" {
		answer("405", "allow: GET\n", map[string]string{"error": "only GET counts"})
		return
	}
	counter, err := count(os.Getenv("SCRIPT_NAME") + os.Getenv("X_RAW_PATH_INFO"))
	if err != nil {
		answer("503", "", map[string]string{"error": err.Error()})
		return
	}
	answer("200", "", map[string]int64{"counter": counter})
}
