package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"

	"eximpolicyd/acl"
	eximsnippets "eximpolicyd/exim-snippets"
)

// line is one name=value of the macro that is the request.
var line = regexp.MustCompile(`(?m)^ +([a-z0-9_]+)=.*\\n`)

// names returns the names that the snippet sends, in its order.
func names() ([]string, error) {
	files, err := eximsnippets.Render("stock", eximsnippets.Options{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		for _, m := range line.FindAllStringSubmatch(f.Text, -1) {
			names = append(names, m[1])
		}
	}
	if len(names) < 40 {
		return nil, errors.New("the snippet's request was not found")
	}
	return names, nil
}

// client is a connection that a caller asks about: as if a proxy on this machine had passed it on, so that the client is
// an outsider to every rule while the connection itself is there for the kernel to find.
type client struct {
	outside, proxy, server netip.AddrPort
}

// request writes what Exim sends of this client at a stage, every name of the snippet.
func (c client) request(names []string, stage string) []byte { return write(names, c.values(stage)) }

func write(names []string, values map[string]string) []byte {
	var pairs []acl.Pair
	for _, name := range names {
		pairs = append(pairs, acl.Pair{Name: name, Value: values[name]})
	}
	return acl.AppendRequest(nil, pairs)
}

func (c client) values(stage string) map[string]string {
	port := func(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }
	v := map[string]string{
		"protocol_state": stage, "instance": strconv.Itoa(os.Getpid()),
		"client_address": c.outside.Addr().String(), "client_port": port(c.outside),
		"server_address": c.server.Addr().String(), "server_port": port(c.server),
		"proxy_local_address": c.proxy.Addr().String(), "proxy_local_port": port(c.proxy),
		"server_name": "mx01.mail.lab.example.test", "primary_hostname": "mx01.mail.lab.example.test",
		"uid": "101", "cwd": "/", "relay_host": "0", "remote_count": "0",
		"rcpt_verify": "none", "rcpt_count": "0", "rcpt_fail_count": "0", "recipient_count": "0", "size": "0",
		"msgid_present": "0", "date_present": "0", "from_present": "0", "msgid_count": "0", "date_count": "0", "from_count": "0",
		"msgid_size": "0", "smtp_count": "3",
	}
	if stage == "CONNECT" {
		return v
	}
	v["protocol_name"], v["helo_name"] = "esmtps", "mta-outbound-17.news.example.com"
	v["tls_cipher"] = "TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256"
	v["command_history"] = "EHLO,STARTTLS,EHLO"
	if stage == "HELO" {
		return v
	}
	v["sender"] = "bounce+5f2c1e.4b71aa-first.last+newsletters=lab.example.test@mta-outbound-17.news.example.com"
	v["command_history"] += ",MAIL"
	v["size"] = "48213"
	if stage == "MAIL" {
		return v
	}
	v["command_history"] += ",RCPT"
	v["recipient"], v["rcpt_verify"], v["rcpt_count"] = "first.last+newsletters@lab.example.test", "ok", "1"
	return v
}

// outsider is the n-th client's address.
func outsider(n int) netip.AddrPort {
	return netip.MustParseAddrPort(fmt.Sprintf("203.0.113.%d:%d", 1+n%250, 20000+n%40000))
}
