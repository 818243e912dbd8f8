package rig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"path/filepath"
	"time"
)

// certificate makes one that nobody has signed but its own key, good for a day.
func (s *Site) certificate() error {
	if !s.cfg.TLS {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	now := time.Now()
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: Domain}, DNSNames: []string{Domain},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	return join(
		s.write("tls/cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		s.write("tls/key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))),
	)
}

func (s *Site) tlsLines() string {
	if !s.cfg.TLS {
		return "tls_advertise_hosts =\n"
	}
	dir := filepath.Join(s.dir, "tls")
	return "tls_advertise_hosts = *\ntls_certificate = " + dir + "/cert.pem\ntls_privatekey = " + dir + "/key.pem\n"
}

// StartTLS says STARTTLS and goes on inside TLS, whoever the certificate says it is.
func (c *Session) StartTLS() error {
	if r := c.Say("STARTTLS"); r.Code != 220 {
		return fmt.Errorf("rig: STARTTLS: %d %s", r.Code, r.Text)
	}
	inside := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := inside.Handshake(); err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	c.conn = inside
	c.in.Reset(inside)
	return nil
}
