//go:build ignore

// A program without network: only such a one notices that all of its goroutines wait.
package main

import "sync"

type queue struct {
	mu    sync.Mutex
	items chan int
}

func (q *queue) consume() int {
	q.mu.Lock()
	return <-q.items
}

func main() {
	q := &queue{items: make(chan int)}
	go q.consume()
	for {
		q.consume()
	}
}
