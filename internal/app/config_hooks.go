package app

import (
	"bytes"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/egress"
	"github.com/weft-dev/weft/internal/notify"
)

// hooksConfig has the shape of Knitfab's hooks.yaml.
type hooksConfig struct {
	Lifecycle lifecycleHooks `koanf:"lifecycle-hooks" yaml:"lifecycle-hooks"`
}

type lifecycleHooks struct {
	Before []hookConfig `koanf:"before" yaml:"before"`
	After  []hookConfig `koanf:"after" yaml:"after"`
}

// A hookConfig is one hook: in the file a URL alone, or all of this.
type hookConfig struct {
	URL         string            `koanf:"url" yaml:"url"`
	Name        string            `koanf:"name" yaml:"name,omitempty"`                 // default: made of the URL
	Secret      string            `koanf:"secret" yaml:"secret,omitempty"`             // signs what is sent
	SecretFile  string            `koanf:"secret-file" yaml:"secret-file,omitempty"`   // a file that holds it
	Headers     map[string]string `koanf:"headers" yaml:"headers,omitempty"`           // sent too
	HeaderFiles map[string]string `koanf:"header-files" yaml:"header-files,omitempty"` // the same, values in files
	Timeout     time.Duration     `koanf:"timeout" yaml:"timeout,omitempty"`           // of one call; default 10s
	Backoff     time.Duration     `koanf:"backoff" yaml:"backoff,omitempty"`           // after the first failure, then doubled; default 1s
	MaxBackoff  time.Duration     `koanf:"max-backoff" yaml:"max-backoff,omitempty"`   // default 5m
	Concurrency int               `koanf:"concurrency" yaml:"concurrency,omitempty"`   // calls at once; default 16
	Statuses    []string          `koanf:"statuses" yaml:"statuses,omitempty"`         // that a run changes to; none: all
	Projects    []string          `koanf:"projects" yaml:"projects,omitempty"`         // names; none: all
	Plans       []string          `koanf:"plans" yaml:"plans,omitempty"`               // ids, names or images; none: all

	Fail  string `koanf:"fail" yaml:"fail,omitempty"`   // before: closed (default) or open
	Tries int    `koanf:"tries" yaml:"tries,omitempty"` // before: calls in vain until it fails open; default 3

	Changes  string        `koanf:"changes" yaml:"changes,omitempty"`   // after: engine (default) or all
	Delivery string        `koanf:"delivery" yaml:"delivery,omitempty"` // after: at-least-once (default) or at-most-once
	GiveUp   time.Duration `koanf:"give-up" yaml:"give-up,omitempty"`   // after: age from which it is not tried again; default 24h
}

// hookFromURL lets a hook be written as its URL alone.
func hookFromURL(from, to reflect.Type, v any) (any, error) {
	if from.Kind() == reflect.String && to == reflect.TypeFor[hookConfig]() {
		return map[string]any{"url": v}, nil
	}
	return v, nil
}

const hiddenSecret = "(hidden)"

// hidden leaves out what is secret.
func (c hooksConfig) hidden() hooksConfig {
	for _, hooks := range []*[]hookConfig{&c.Lifecycle.Before, &c.Lifecycle.After} {
		*hooks = slices.Clone(*hooks)
		for i := range *hooks {
			h := &(*hooks)[i]
			if h.Secret != "" {
				h.Secret = hiddenSecret
			}
			h.Headers = maps.Clone(h.Headers)
			for name := range h.Headers {
				h.Headers[name] = hiddenSecret
			}
		}
	}
	return c
}

// hooks reads the section, and the files that it names.
func (c hooksConfig) hooks(e egressConfig) (before, after []notify.Hook, err error) {
	policy, err := e.policy()
	if err != nil {
		return nil, nil, err
	}
	read := func(when string, in []hookConfig) ([]notify.Hook, error) {
		var out []notify.Hook
		for _, hc := range in {
			h, err := hc.hook(when, &policy)
			if err != nil {
				return nil, weft.Errorf(weft.KindOf(err), "hooks: lifecycle-hooks: %s: %w", when, err).WithAdvice("%s", adviceOf(err))
			}
			if slices.ContainsFunc(out, func(o notify.Hook) bool { return o.Label() == h.Label() }) {
				return nil, weft.Errorf(weft.Invalid, "hooks: lifecycle-hooks: %s: there are two hooks %s", when, h.Label()).
					WithAdvice("give one of them another name")
			}
			out = append(out, h)
		}
		return out, nil
	}
	if before, err = read(whenBefore, c.Lifecycle.Before); err != nil {
		return nil, nil, err
	}
	after, err = read(whenAfter, c.Lifecycle.After)
	return before, after, err
}

const (
	whenBefore = "before"
	whenAfter  = "after"
)

func (c hookConfig) hook(when string, policy *egress.Policy) (notify.Hook, error) {
	h := notify.Hook{Name: c.Name, URL: c.URL, Headers: map[string]string{}, Timeout: c.Timeout, Backoff: c.Backoff, Slowest: c.MaxBackoff,
		Projects: c.Projects, Plans: c.Plans, Concurrency: c.Concurrency, Tries: c.Tries, GiveUp: c.GiveUp,
		FailOpen: c.Fail == "open", All: c.Changes == "all", AtMostOnce: c.Delivery == "at-most-once"}
	if err := policy.Check(c.URL); err != nil {
		return h, weft.Errorf(weft.KindOf(err), "%s: %w", h.Label(), err).WithAdvice("%s", adviceOf(err))
	}
	for _, o := range []struct{ name, value, when, one, other string }{
		{"fail", c.Fail, whenBefore, "closed", "open"},
		{"changes", c.Changes, whenAfter, "engine", "all"},
		{"delivery", c.Delivery, whenAfter, "at-least-once", "at-most-once"},
	} {
		switch {
		case o.value == "":
		case o.when != when:
			return h, weft.Errorf(weft.Invalid, "%s: %s is for %s hooks only", h.Label(), o.name, o.when)
		case o.value != o.one && o.value != o.other:
			return h, weft.Errorf(weft.Invalid, "%s: %s is %q; it is %s or %s", h.Label(), o.name, o.value, o.one, o.other)
		}
	}
	if c.Timeout < 0 || c.Backoff < 0 || c.MaxBackoff < 0 || c.GiveUp < 0 || c.Concurrency < 0 || c.Tries < 0 {
		return h, weft.Errorf(weft.Invalid, "%s: a time or number is negative", h.Label())
	}
	for _, text := range c.Statuses {
		s, err := weft.ParseStatus(text)
		if err != nil {
			return h, err
		}
		h.Statuses = append(h.Statuses, s)
	}
	return h, c.secrets(&h)
}

// secrets reads what is secret into h.
func (c hookConfig) secrets(h *notify.Hook) error {
	if c.Secret != "" && c.SecretFile != "" {
		return weft.Errorf(weft.Invalid, "%s: there are a secret and a secret-file", h.Label())
	}
	h.Secret = []byte(c.Secret)
	maps.Copy(h.Headers, c.Headers)
	if c.SecretFile != "" {
		secret, err := secretFile(c.SecretFile)
		if err != nil {
			return err
		}
		h.Secret = secret
	}
	for name, file := range c.HeaderFiles {
		value, err := secretFile(file)
		if err != nil {
			return err
		}
		h.Headers[name] = string(value)
	}
	for name, value := range h.Headers {
		if strings.ContainsAny(name+value, "\r\n\x00") || name == "" {
			return weft.Errorf(weft.Invalid, "%s: the header %.40q cannot be sent", h.Label(), name)
		}
	}
	return nil
}

// secretFile reads a secret without the newline that editors put behind it.
func secretFile(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, weft.Errorf(weft.Invalid, "read secret: %w", err)
	}
	if b = bytes.TrimSpace(b); len(b) == 0 {
		return nil, weft.Errorf(weft.Invalid, "read secret: %s is empty", name)
	}
	return b, nil
}

// lineageConfig says where OpenLineage events go.
type lineageConfig struct {
	URL       string        `koanf:"url" yaml:"url"`               // where events are posted to; empty: nowhere
	TokenFile string        `koanf:"token-file" yaml:"token-file"` // sent as bearer token
	Namespace string        `koanf:"namespace" yaml:"namespace"`   // of jobs and datasets, before the project's name; default weft
	Projects  []string      `koanf:"projects" yaml:"projects"`     // names; none: all
	Timeout   time.Duration `koanf:"timeout" yaml:"timeout"`       // of one call; 0 is 10s
	GiveUp    time.Duration `koanf:"give-up" yaml:"give-up"`       // age from which an event is not sent again; 0 is 24h
}

// receivers reads the section, and the file that it names.
func (c lineageConfig) receivers(e egressConfig) ([]notify.Lineage, error) {
	if c.URL == "" {
		return nil, nil
	}
	policy, err := e.policy()
	if err != nil {
		return nil, err
	}
	h := hookConfig{URL: c.URL, Projects: c.Projects, Timeout: c.Timeout, GiveUp: c.GiveUp}
	hook, err := h.hook(whenAfter, &policy)
	if err != nil {
		return nil, weft.Errorf(weft.KindOf(err), "openlineage: %w", err).WithAdvice("%s", adviceOf(err))
	}
	if c.TokenFile != "" {
		token, err := secretFile(c.TokenFile)
		if err != nil {
			return nil, weft.Errorf(weft.KindOf(err), "openlineage: token-file: %w", err)
		}
		hook.Headers["Authorization"] = "Bearer " + string(token)
	}
	namespace := c.Namespace
	if namespace == "" {
		namespace = "weft"
	}
	return []notify.Lineage{{Hook: hook, Namespace: namespace}}, nil
}
