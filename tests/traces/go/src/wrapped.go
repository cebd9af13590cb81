package main

import (
	"fmt"
	"os"

	"github.com/pkg/errors"
)

func read(path string) error {
	_, err := os.ReadFile(path)
	return errors.Wrap(err, "reading prices")
}

func load() error {
	return errors.WithMessage(errors.Wrap(read("/app/prices.json"), "loading catalogue"), "starting")
}

func wrapped() {
	if err := load(); err != nil {
		fmt.Fprintf(os.Stderr, "2026/03/04 10:11:12 ERROR shop: cannot start\n%+v\n", err)
		fmt.Fprintln(os.Stderr, "2026/03/04 10:11:12 INFO bye")
	}
}
