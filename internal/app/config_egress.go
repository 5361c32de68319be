package app

import (
	"context"
	"crypto/x509"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/egress"
)

// egressConfig says what requests that users or settings ask for may reach beyond the
// public internet.
type egressConfig struct {
	Allow  []string `koanf:"allow" yaml:"allow"`     // 10.1.0.0/16, 10.1.2.3:8080, hooks.internal, *.internal
	CAFile string   `koanf:"ca-file" yaml:"ca-file"` // certificates of authorities to trust beside the machine's own
}

// policy reads what the section names.
func (c egressConfig) policy() (egress.Policy, error) {
	var p egress.Policy
	for _, text := range c.Allow {
		r, err := egress.ParseRule(text)
		if err != nil {
			return p, weft.Errorf(weft.Invalid, "egress: allow: %w", err).WithAdvice("%s", adviceOf(err))
		}
		p.Allow = append(p.Allow, r)
	}
	if c.CAFile == "" {
		return p, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return p, weft.Errorf(weft.Invalid, "egress: ca-file: %w", err)
	}
	if p.Roots, err = x509.SystemCertPool(); err != nil {
		p.Roots = x509.NewCertPool()
	}
	if !p.Roots.AppendCertsFromPEM(pem) {
		return p, weft.Errorf(weft.Invalid, "egress: ca-file: %s holds no certificate in PEM", c.CAFile)
	}
	return p, nil
}

// openEgress makes the one way out, whose policy follows the settings.
func (p *process) openEgress(context.Context, *prometheus.Registry) error {
	policy, err := p.Egress.policy()
	if err != nil {
		return err
	}
	p.egress = egress.New(policy)
	p.onReload(func(c Config) error {
		policy, err := c.Egress.policy()
		if err == nil {
			p.egress.Set(policy)
		}
		return err
	})
	return nil
}
