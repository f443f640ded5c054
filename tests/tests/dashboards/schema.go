// Reads dashboards as strictly as Grafana's own schema of them is: what it does not know, and what it wants
// and is not there, is an error.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	// The options of every kind of panel and query.
	plugins.RegisterDefaultPlugins()
	wrong := false
	for _, path := range os.Args[1:] {
		if err := check(path); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			wrong = true
		}
	}
	if wrong {
		os.Exit(1)
	}
}

func check(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var read dashboard.Dashboard
	if err := read.UnmarshalJSONStrict(text); !isNone(err) {
		return err
	}
	return read.Validate()
}

// It returns a list of errors, which may be empty, where all is well.
func isNone(err error) bool {
	var list cog.BuildErrors
	return err == nil || errors.As(err, &list) && len(list) == 0
}
