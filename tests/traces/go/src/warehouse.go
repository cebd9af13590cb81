//go:build ignore

// Fails with the errors that Go's runtime raises itself; the argument chooses which.
package main

import (
	"fmt"
	"os"

	"example.com/shop/third_party/courier"
)

type shelf struct{ boxes map[string]int }

func (s shelf) share(people int) int { return s.boxes["pen"] / people }

func label(item any) string { return item.(fmt.Stringer).String() }

func main() {
	switch os.Args[1] {
	case "divide":
		fmt.Println(shelf{}.share(len(os.Args) - 2))
	case "assertion":
		fmt.Println(label(7))
	case "closed":
		orders := make(chan int)
		close(orders)
		close(orders)
	case "third_party":
		courier.Each([]string{"pen"}, func(string) { panic(fmt.Sprintf("no courier for %q", os.Args[1])) })
	}
}
