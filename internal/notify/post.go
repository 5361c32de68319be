package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/weft-dev/weft"
)

// Headers of what Weft sends.
const (
	HeaderDelivery  = "Weft-Delivery"  // the same when something is sent again
	HeaderSignature = "Weft-Signature" // see Sign
	HeaderWhen      = "Weft-When"      // "before" or "after"
	HeaderFrom      = "Weft-From"      // the status before
	HeaderTo        = "Weft-To"        // the status after
	HeaderAttempt   = "Weft-Attempt"   // the Run's id, a dash, and the number of the try
)

const (
	maxAnswer   = 1 << 20 // bytes of an answer that are read
	contentJSON = "application/json"
)

// Sign returns the header that proves who sent a body, and when: "t=SECONDS,v1=HEX", where
// HEX is the HMAC-SHA256, by the secret, of SECONDS, a dot, the delivery's id, a dot, and
// the body. Receivers refuse what is too old, or has an id that they know.
func Sign(secret []byte, delivery string, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(signature(secret, t, delivery, body))
}

func signature(secret []byte, t, delivery string, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "." + delivery + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// Verify is for receivers written in Go, and for tests: it checks a signature that is not
// older than tolerance.
func Verify(secret []byte, header, delivery string, body []byte, now time.Time, tolerance time.Duration) error {
	stamp, rest, ok := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	sum, err2 := hex.DecodeString(rest)
	if !ok || err != nil || err2 != nil {
		return errors.New("the signature is not t=SECONDS,v1=HEX")
	}
	if !hmac.Equal(sum, signature(secret, stamp, delivery, body)) {
		return errors.New("the signature is not by this secret over this body")
	}
	if age := now.Sub(time.Unix(seconds, 0)).Abs(); age > tolerance {
		return fmt.Errorf("the signature is %s away from now", age)
	}
	return nil
}

// deliveryID makes an id out of what it is for, so that repeats have the same.
func deliveryID(parts ...string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("weft\x00"+strings.Join(parts, "\x00"))).String()
}

// A parcel is one thing to be sent.
type parcel struct {
	id      string
	body    []byte
	headers map[string]string
}

// A poster posts to one URL.
type poster struct {
	client *http.Client
	agent  string
}

// post sends a parcel once, and returns the answer if it is JSON. Errors are Unavailable and
// say what was answered, without the URL: it may hold a secret.
func (p poster) post(ctx context.Context, h Hook, v parcel) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(v.body))
	if err != nil {
		return nil, weft.Errorf(weft.Invalid, "the URL of hook %s cannot be used", h.Name)
	}
	for name, value := range h.Headers {
		r.Header.Set(name, value)
	}
	for name, value := range v.headers {
		r.Header.Set(name, value)
	}
	r.Header.Set("Content-Type", contentJSON)
	r.Header.Set("User-Agent", p.agent)
	r.Header.Set(HeaderDelivery, v.id)
	if len(h.Secret) > 0 {
		r.Header.Set(HeaderSignature, Sign(h.Secret, v.id, v.body, time.Now()))
	}
	resp, err := p.client.Do(r)
	if err != nil {
		return nil, unreachable(ctx, h, err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return nil, weft.Errorf(weft.Unavailable, "answered %d", resp.StatusCode)
	case err != nil:
		return nil, unreachable(ctx, h, err)
	case len(body) > maxAnswer:
		return nil, weft.Errorf(weft.Unavailable, "answered more than %d bytes", maxAnswer)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != contentJSON {
		return nil, nil
	}
	return body, nil
}

// unreachable says in words why there is no answer.
func unreachable(ctx context.Context, h Hook, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return weft.Errorf(weft.Unavailable, "no answer within %s", h.Timeout)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var known *weft.Error
	if errors.As(err, &known) {
		text := known.Message
		if known.Advice != "" {
			text += "; " + known.Advice
		}
		return weft.Errorf(weft.Unavailable, "%s", text)
	}
	return weft.Errorf(weft.Unavailable, "%w", err)
}
