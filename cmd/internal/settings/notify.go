// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"net"
	"net/netip"
	"time"

	"mailpush.internal/pkg/secret"
)

// Notify is where Dovecot tells a worker of new mail, over HTTP.
type Notify struct {
	Listen       string        `yaml:"listen" doc:"address where Dovecot's notifications come in, PUT /preliminary/http-notify/v1/notify; empty: nowhere"`
	Username     string        `yaml:"username" doc:"name that Dovecot logs in with"`
	Password     secret.String `yaml:"password" doc:"its password"`
	PasswordFile string        `yaml:"passwordFile" doc:"file with its password"`
	TLS          TLS           `yaml:"tls"`
	ClientCAFile string        `yaml:"clientCAFile" doc:"authority whose client certificates are as good as a login"`
	AllowHTTP    bool          `yaml:"allowHTTP" doc:"whether notifications may cross a network in clear text, password included; else listen needs tls off loopback"`
}

// MailNotify is where mail stores tell a worker of new mail by datagrams.
type MailNotify struct {
	Listen         string         `yaml:"listen" doc:"UDP address where mailnotify's datagrams come in, such as 0.0.0.0:23420; a multicast group is joined; empty: nowhere"`
	Interface      string         `yaml:"interface" doc:"network interface at which a multicast group is joined, such as eth0; empty: the one the system picks"`
	Socket         string         `yaml:"socket" doc:"path of a unix datagram socket for the same, such as Cyrus' notify socket; empty: none"`
	Allow          []netip.Prefix `yaml:"allow" doc:"addresses datagrams are taken from, as a list of prefixes like 10.1.0.0/16"`
	Secret         secret.String  `yaml:"secret" doc:"text that the first option of each datagram has to be; empty: none is needed"`
	SecretFile     string         `yaml:"secretFile" doc:"file with that text"`
	LoginDelimiter string         `yaml:"loginDelimiter" doc:"where the login of a user ends in a datagram, such as @; empty: nowhere"`
	FullAddress    bool           `yaml:"fullAddress" doc:"whether datagrams name whole logins; else what stands before the @ of a login will do"`
	Window         time.Duration  `yaml:"window" doc:"for how long datagrams about one user are gathered; 0: each counts at once"`
}

func (s *Settings) validateNotify(p *problems) {
	const key = "worker.notify"
	n := s.Worker.Notify
	p.either(key+".password", !n.Password.IsZero(), n.PasswordFile)
	if (n.TLS.CertFile == "") != (n.TLS.KeyFile == "") {
		p.add(key+".tls", "certFile and keyFile go together")
	}
	if n.ClientCAFile != "" && n.TLS.CertFile == "" {
		p.add(key+".clientCAFile", "needs tls: there are no certificates without it")
	}
	if n.Listen == "" {
		return
	}
	p.address(key+".listen", n.Listen)
	hasPassword := !n.Password.IsZero() || n.PasswordFile != ""
	if hasPassword != (n.Username != "") {
		p.add(key+".username", "username and password, or passwordFile, go together")
	}
	if !hasPassword && n.ClientCAFile == "" {
		p.add(key+".username", "want username and passwordFile, or clientCAFile: nobody else may notify")
	}
	if host, _, err := net.SplitHostPort(n.Listen); err == nil && n.TLS.CertFile == "" && !n.AllowHTTP && !isLoopback(host) {
		p.add(key+".tls", "is needed: worker.notify.listen %q is not on loopback; allowHTTP: true says that the network is safe", n.Listen)
	}
}

func (s *Settings) validateMailNotify(p *problems) {
	const key = "worker.mailnotify"
	m := s.Worker.MailNotify
	p.either(key+".secret", !m.Secret.IsZero(), m.SecretFile)
	p.notNegative(key+".window", m.Window)
	p.prefixes(key+".allow", m.Allow)
	if len(m.Socket) > maxSocket {
		p.add(key+".socket", "%q: want a path of at most %d bytes", m.Socket, maxSocket)
	}
	if m.Interface != "" && !isMulticast(m.Listen) {
		p.add(key+".interface", "is for a multicast group, and worker.mailnotify.listen %q is none", m.Listen)
	}
	if m.Listen == "" {
		return
	}
	p.address(key+".listen", m.Listen)
	if len(m.Allow) == 0 {
		p.add(key+".allow", "want at least one prefix: datagrams are taken from nobody else")
	}
}

// isMulticast tells whether an address with a port is that of a multicast group.
func isMulticast(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().IsMulticast()
}
