package registry

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/weft-dev/weft"
)

// A code is an error code of the distribution specification.
type code string

const (
	blobUnknown         code = "BLOB_UNKNOWN"
	blobUploadInvalid   code = "BLOB_UPLOAD_INVALID"
	blobUploadUnknown   code = "BLOB_UPLOAD_UNKNOWN"
	digestInvalid       code = "DIGEST_INVALID"
	manifestBlobUnknown code = "MANIFEST_BLOB_UNKNOWN"
	manifestInvalid     code = "MANIFEST_INVALID"
	manifestUnknown     code = "MANIFEST_UNKNOWN"
	nameInvalid         code = "NAME_INVALID"
	nameUnknown         code = "NAME_UNKNOWN"
	sizeInvalid         code = "SIZE_INVALID"
	unauthorized        code = "UNAUTHORIZED"
	denied              code = "DENIED"
	unsupported         code = "UNSUPPORTED"
	tooManyRequests     code = "TOOMANYREQUESTS"
	unknown             code = "UNKNOWN"
)

// A failure is an answer other than success.
type failure struct {
	status  int
	code    code
	message string
}

func (f *failure) Error() string { return f.message }

func fail(status int, c code, message string) error { return &failure{status, c, message} }

// byKind says how failures of other packages are answered.
var byKind = map[weft.Kind]failure{
	weft.Invalid:         {http.StatusBadRequest, unsupported, ""},
	weft.Unauthenticated: {http.StatusUnauthorized, unauthorized, ""},
	weft.Forbidden:       {http.StatusForbidden, denied, ""},
	weft.NotFound:        {http.StatusNotFound, nameUnknown, ""},
	weft.Conflict:        {http.StatusConflict, denied, ""},
	weft.TooLarge:        {http.StatusRequestEntityTooLarge, sizeInvalid, ""},
	weft.Unavailable:     {http.StatusServiceUnavailable, unknown, ""},
	weft.NoSpace:         {http.StatusInsufficientStorage, denied, ""},
}

// explain finds the answer to an error; ok is false when it is our own fault.
func explain(err error) (f failure, ok bool) {
	var known *failure
	if errors.As(err, &known) {
		return *known, true
	}
	var e *weft.Error
	if errors.As(err, &e) {
		if f, ok := byKind[e.Kind]; ok {
			f.message = e.Message
			if e.Advice != "" {
				f.message += "; " + e.Advice
			}
			return f, true
		}
	}
	return failure{http.StatusInternalServerError, unknown, "internal error"}, false
}

// statusClientGone is for the access log: the client has left before it was answered.
const statusClientGone = 499

// answerError writes an error as the specification wants it.
func answerError(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	f, ok := explain(err)
	if !ok && r.Context().Err() != nil { // nobody is there to read it, but without an answer it would be 200
		f.status = statusClientGone
	} else if !ok {
		log.ErrorContext(r.Context(), "registry request", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="weft", charset="UTF-8"`)
	}
	type entry struct {
		Code    code   `json:"code"`
		Message string `json:"message"`
	}
	answerJSON(w, r, f.status, "application/json", map[string][]entry{"errors": {{f.code, f.message}}})
}

// answerJSON writes v; a HEAD request gets the headers alone.
func answerJSON(w http.ResponseWriter, r *http.Request, status int, mediaType string, v any) {
	body, err := json.Marshal(v)
	if err != nil { // only strings and numbers are ever passed
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client went away; nothing is left to tell it
	}
}
