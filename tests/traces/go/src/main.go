// Fails in the ways a Go service fails; the argument chooses which.
package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/debug"
	"sync"
)

type order struct {
	id    int
	lines []string
}

type gateway struct{ client *http.Client }

func (g *gateway) charge(o *order) string { return o.lines[5] }

func each[T any](items []T, visit func(T)) {
	for _, item := range items {
		visit(item)
	}
}

type declined struct{ order int }

func (d declined) Error() string { return fmt.Sprintf("order %d declined\nby the bank", d.order) }

func recovered() {
	defer func() {
		if r := recover(); r != nil {
			panic(fmt.Errorf("charging: %v", r))
		}
	}()
	each([]*order{{id: 1}}, func(o *order) { (&gateway{}).charge(o) })
}

func worker(wg *sync.WaitGroup, g *gateway) {
	defer wg.Done()
	g.client.Get("http://bank")
}

func main() {
	switch os.Args[1] {
	case "index":
		each([]*order{{id: 1}}, func(o *order) { (&gateway{}).charge(o) })
	case "nil":
		var wg sync.WaitGroup
		wg.Add(1)
		go worker(&wg, nil)
		wg.Wait()
	case "repanic":
		recovered()
	case "value":
		panic(declined{4711})
	case "map":
		m := map[int]int{}
		go func() {
			for {
				m[1]++
			}
		}()
		for {
			m[2]++
		}
	case "serve":
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (&gateway{}).charge(&order{}) }))
		http.Get(server.URL + "/pay")
	case "stack":
		defer func() {
			if r := recover(); r != nil {
				fmt.Fprintf(os.Stderr, "2026/03/04 10:11:12 ERROR recovered: %v\n%s", r, debug.Stack())
				fmt.Fprintln(os.Stderr, "2026/03/04 10:11:12 INFO next order")
			}
		}()
		panic(errors.New("bank is closed"))
	case "overflow":
		var f func(int) int
		f = func(n int) int { return f(n+1) + 1 }
		debug.SetMaxStack(1 << 16)
		f(0)
	case "listen":
		http.ListenAndServe("127.0.0.1:0", nil)
	case "wrapped":
		wrapped()
	}
}
