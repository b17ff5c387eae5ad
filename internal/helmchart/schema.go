package helmchart

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// check finds values that the chart's schema does not allow.
func check(values map[string]any) error {
	const name = "values.schema.json"
	text, err := read(name)
	if err != nil {
		return err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("reading %s of the chart: %w", name, err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(name, document); err != nil {
		return fmt.Errorf("reading %s of the chart: %w", name, err)
	}
	schema, err := compiler.Compile(name)
	if err != nil {
		return fmt.Errorf("reading %s of the chart: %w", name, err)
	}
	err = schema.Validate(values)
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		return errors.New(strings.Join(complaints(invalid), "; "))
	}
	return err
}

// complaints are what is wrong, each with the value that it is about.
func complaints(e *jsonschema.ValidationError) (all []string) {
	for _, cause := range e.Causes {
		all = append(all, complaints(cause)...)
	}
	if len(e.Causes) == 0 {
		at := strings.Join(e.InstanceLocation, ".")
		if at == "" {
			at = "values"
		}
		all = append(all, at+": "+e.ErrorKind.LocalizedString(message.NewPrinter(language.English)))
	}
	return all
}
