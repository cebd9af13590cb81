// Package courier stands for a copy of another project's code.
package courier

// Each visits all items.
func Each(items []string, visit func(string)) {
	for _, item := range items {
		visit(item)
	}
}
