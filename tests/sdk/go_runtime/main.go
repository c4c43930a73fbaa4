// What Go's runtime does inside an actor, for tests/sdk/test_go_runtime.py.
package main

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	lattice "nanolattice"
)

var ticks int

func on(operation string, handler func() any) {
	lattice.On(operation, func([]byte) ([]byte, error) { return fmt.Append(nil, handler()), nil })
}

func init() {
	on("Sleep", func() any {
		began := time.Now()
		time.Sleep(20 * time.Millisecond)
		return time.Since(began) >= 20*time.Millisecond
	})
	on("Goroutines", func() any {
		var wait sync.WaitGroup
		guids := make([]string, 4)
		for at := range guids {
			wait.Add(1)
			go func() {
				defer wait.Done()
				time.Sleep(time.Millisecond)
				guids[at], _ = lattice.GUID()
			}()
		}
		wait.Wait()
		return len(guids[0]) + len(guids[3])
	})
	on("Leave", func() any {
		go func() {
			for {
				time.Sleep(time.Millisecond)
				ticks++
			}
		}()
		return ticks
	})
	on("Left", func() any { return ticks })
	on("Random", func() any {
		count, err := rand.Read(make([]byte, 8))
		return fmt.Sprint(count, err)
	})
	on("Print", func() any {
		fmt.Println("to the log")
		fmt.Fprintln(os.Stderr, "a complaint")
		return ""
	})
	on("File", func() any {
		_, err := os.ReadFile("/etc/hostname")
		return err != nil
	})
	on("Dial", func() any {
		_, err := net.DialTimeout("tcp", "127.0.0.1:80", time.Second)
		return err != nil
	})
	on("Garbage", func() any {
		sum := 0
		for range 2000 {
			sum += len(make([]byte, 100_000))
		}
		return sum
	})
	on("Panic", func() any {
		var none map[string]int
		none["x"] = 1
		return ""
	})
	on("Deadlock", func() any { return <-make(chan int) })
	on("PanicElsewhere", func() any {
		go func() { panic("elsewhere") }()
		return <-make(chan int)
	})
	on("Exit", func() any {
		os.Exit(3)
		return ""
	})
	on("Hoard", func() any {
		hoard := [][]byte{}
		for {
			hoard = append(hoard, make([]byte, 1<<20))
		}
	})
}

func main() {}
