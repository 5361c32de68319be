package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/weft-dev/weft"
)

// readJSON reads the JSON body of a streamed operation.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return weft.Errorf(weft.TooLarge, "the body has more than %d bytes", maxBody)
	case err != nil:
		return err
	}
	if err := decodeStrict(text, into); err != nil {
		return weft.Errorf(weft.Invalid, "%w", err)
	}
	return nil
}

// decodeStrict reads the JSON of a request. Unknown fields are refused, since they
// are mistakes that would otherwise change what a request means.
func decodeStrict(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return errors.New("there is something after the JSON of the body")
		}
		return nil
	}
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("the body is not JSON: %s, at byte %d", syntax, syntax.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the body is not JSON: it ends too early")
	case errors.As(err, &mismatch):
		return fmt.Errorf("%s cannot be %s", fieldName(mismatch.Field), mismatch.Value)
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		name := strings.TrimPrefix(err.Error(), "json: unknown field ")
		return fmt.Errorf("the field %s is unknown\n%s", name, known(into))
	}
	return err
}

func fieldName(path string) string {
	if path == "" {
		return "the body"
	}
	return "the field " + path
}

// known lists the fields of a request, for someone who got one wrong.
func known(v any) string {
	t := reflect.TypeOf(v)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return "check how the fields are spelled"
	}
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return "there are " + strings.Join(names, ", ")
}
