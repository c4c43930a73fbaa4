// A WASI command by Go, whose runtime asks for more of WASI than a C library: it waits in poll_oneoff, lists a folder,
// reads and writes files. The tests build it where there is a Go toolchain.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

func main() {
	fmt.Print("content-type: text/plain\n\n")
	body, err := io.ReadAll(os.Stdin)
	began := time.Now()
	time.Sleep(10 * time.Millisecond)
	fmt.Println(os.Getenv("REQUEST_METHOD"), strings.Join(os.Args, " "), string(body), err)
	fmt.Println("slept", time.Since(began) >= 10*time.Millisecond)
	entries, err := os.ReadDir("/data")
	fmt.Println(len(entries), err)
	for _, entry := range entries {
		text, err := os.ReadFile("/data/" + entry.Name())
		fmt.Println(entry.Name(), string(text), err)
	}
	fmt.Println(os.WriteFile("/data/made", []byte("by Go"), 0o644))
	_, err = os.ReadFile("/data/../secret")
	fmt.Println(err != nil)
}
