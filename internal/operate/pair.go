package operate

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// A pair is a key with the certificate for it, which is the first of its chain.
type pair struct {
	key   crypto.Signer
	chain []*x509.Certificate
}

func (p *pair) leaf() *x509.Certificate { return p.chain[0] }

// encode writes the key and the chain as PEM (RFC 7468), in one text, so that they are
// replaced together.
func (p *pair) encode() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), encodeCerts(p.chain)...), nil
}

func encodeCerts(certs []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.Bytes()
}

// parsePair reads a key and a chain from PEM. The certificate that the key belongs to
// comes first in the result, wherever it stands.
func parsePair(text []byte) (*pair, error) {
	p := &pair{}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if err := p.add(block); err != nil {
			return nil, err
		}
	}
	switch {
	case p.key == nil:
		return nil, errors.New("there is no private key in it, in PEM")
	case len(p.chain) == 0:
		return nil, errors.New("there is no certificate in it, in PEM")
	}
	for i, c := range p.chain {
		if public, ok := p.key.Public().(interface{ Equal(crypto.PublicKey) bool }); ok && public.Equal(c.PublicKey) {
			copy(p.chain[1:i+1], p.chain[:i])
			p.chain[0] = c
			return p, nil
		}
	}
	return nil, errors.New("the key is not that of the certificate")
}

func (p *pair) add(block *pem.Block) error {
	switch block.Type {
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("a certificate is damaged: %w", err)
		}
		p.chain = append(p.chain, c)
	case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY":
		if p.key != nil {
			return errors.New("there are two private keys in it")
		}
		if block.Headers["DEK-Info"] != "" {
			return errors.New("the key is encrypted; the server has nobody to ask for its password")
		}
		key, err := parseKey(block)
		if err != nil {
			return fmt.Errorf("the key is damaged: %w", err)
		}
		p.key = key
	case "ENCRYPTED PRIVATE KEY":
		return errors.New("the key is encrypted; the server has nobody to ask for its password")
	}
	return nil
}

func parseKey(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("keys of type %T do not sign", key)
	}
	return signer, nil
}

// readChain reads the certificates of a file in PEM, without a key.
func readChain(file string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p := &pair{}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			if err := p.add(block); err != nil {
				return nil, err
			}
		}
	}
	return p.chain, nil
}

// certificate makes of a pair what package tls shows to clients.
func (p *pair) certificate() *tls.Certificate {
	c := &tls.Certificate{PrivateKey: p.key, Leaf: p.leaf()}
	for _, x := range p.chain {
		c.Certificate = append(c.Certificate, x.Raw)
	}
	return c
}
