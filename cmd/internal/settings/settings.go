// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package settings is the one configuration file of a mailpush cluster. Every
// service reads the same file and takes its part. Invariant: Default is safe and
// complete but for addresses of mail stores and secrets, and a Settings that
// passes Validate for a service, and the service's own check, is enough to build it.
package settings

import (
	"net/netip"
	"time"

	"mailpush.internal/cmd/internal/config"
	"mailpush.internal/pkg/secret"
)

// Settings is the whole file. The keys below push, mail and imapidle keep the
// names and meaning they have in Open-Xchange.
type Settings struct {
	Cluster   Cluster   `yaml:"cluster"`
	Identity  Identity  `yaml:"identity"`
	Push      Push      `yaml:"push"`
	Mail      Mail      `yaml:"mail"`
	IMAPIdle  IMAPIdle  `yaml:"imapidle"`
	Admin     Admin     `yaml:"admin"`
	Vault     Vault     `yaml:"vault"`
	Scheduler Scheduler `yaml:"scheduler"`
	Worker    Worker    `yaml:"worker"`
	Log       Log       `yaml:"log"`

	given config.Given // where each of them comes from, for errors
}

// Cluster is what all processes of a cluster must agree on.
type Cluster struct {
	Name     string        `yaml:"name" doc:"name of the cluster: part of service identities and of event ids, so never change it"`
	Etcd     Etcd          `yaml:"etcd"`
	Shards   uint32        `yaml:"shards" doc:"shards per backend, a power of two; fixed at the cluster's first start"`
	LeaseTTL time.Duration `yaml:"leaseTTL" doc:"how long a silent worker keeps its shards, at least 2s"`
}

// Etcd is how to reach etcd.
type Etcd struct {
	Endpoints    []string      `yaml:"endpoints" doc:"etcd members, as http(s)://host:port"`
	Prefix       string        `yaml:"prefix" doc:"key prefix of this cluster"`
	Username     string        `yaml:"username" doc:"etcd user; empty without etcd authentication"`
	Password     secret.String `yaml:"password" doc:"etcd password"`
	PasswordFile string        `yaml:"passwordFile" doc:"file with the etcd password"`
	CAFile       string        `yaml:"caFile" doc:"certificates to trust for etcd"`
	CertFile     string        `yaml:"certFile" doc:"client certificate for etcd"`
	KeyFile      string        `yaml:"keyFile" doc:"key of the client certificate"`
}

// Identity is where the services' certificates lie.
type Identity struct {
	Dir string `yaml:"dir" doc:"directory with ca.crt and, for each service, SERVICE.crt and SERVICE.key (see mailpush certs)"`
}

// Push says who may have permanent push, and how credentials are kept.
type Push struct {
	AllowPermanentPush bool        `yaml:"allowPermanentPush" doc:"whether users may have permanent listeners at all"`
	AllowedClients     []string    `yaml:"allowedClients" doc:"clients that may register, with * wildcards; empty means all"`
	CredStorage        CredStorage `yaml:"credstorage"`
	Webhook            Webhook     `yaml:"webhook"`
}

// CredStorage is how users' passwords are kept.
type CredStorage struct {
	Enabled       bool          `yaml:"enabled" doc:"whether users' mail passwords are stored, sealed"`
	Passcrypt     secret.String `yaml:"passcrypt" doc:"passphrase all stored credentials are sealed under"`
	PasscryptFile string        `yaml:"passcryptFile" doc:"file with the passphrase"`
	AllowShort    bool          `yaml:"allowShortPasscrypt" doc:"whether the passphrase may have fewer than 16 characters, as an earlier release allowed"`
	RDB           bool          `yaml:"rdb" doc:"store sealed credentials in SQL; false keeps them in memory only"`
}

// Webhook limits where pushes may go.
type Webhook struct {
	AllowHTTP    bool           `yaml:"allowHTTP" doc:"whether webhooks may use http:// (for tests on loopback)"`
	AllowPrivate []netip.Prefix `yaml:"allowPrivate" doc:"addresses webhooks may have although they are not public, as a list of prefixes like 10.1.0.0/16"`
	AllowPorts   []uint16       `yaml:"allowPorts" doc:"ports of webhooks at public addresses; those in allowPrivate may have any"`
	RequireEcho  bool           `yaml:"requireEcho" doc:"whether a webhook must repeat the challenge of its first ping in the answer; else any 2xx will do"`
	Rules        []WebhookRule  `yaml:"rules" doc:"private authorities and client certificates for webhooks: a list of {origin, caFile, certFile, keyFile}; see below"`
}

// WebhookRule is what holds for the webhooks of one origin.
type WebhookRule struct {
	Origin   string `yaml:"origin"`
	CAFile   string `yaml:"caFile"`
	CertFile string `yaml:"certFile"`
	KeyFile  string `yaml:"keyFile"`
}

// Mail is where mailboxes are and how they are opened.
type Mail struct {
	PasswordSource     string           `yaml:"passwordSource" doc:"session: each user's own stored password; global: the master user opens every mailbox"`
	MasterUser         string           `yaml:"masterUser" doc:"who authenticates when passwordSource is global"`
	MasterPassword     secret.String    `yaml:"masterPassword" doc:"the master user's password"`
	MasterPasswordFile string           `yaml:"masterPasswordFile" doc:"file with the master user's password"`
	Stores             map[string]Store `yaml:"stores" doc:"the mail stores users may name; see below"`
}

// Store is one IMAP service.
type Store struct {
	Address           string        `yaml:"address" doc:"host:port of the IMAP service"`
	TLS               string        `yaml:"tls" doc:"implicit, starttls, or none for clear text"`
	ServerName        string        `yaml:"serverName" doc:"name in the server's certificate, when it is not the address's host"`
	CAFile            string        `yaml:"caFile" doc:"certificates to trust for this store instead of the system's"`
	Backend           string        `yaml:"backend" doc:"how new mail is noticed: imapidle or dovecot"`
	IdleRefresh       time.Duration `yaml:"idleRefresh" doc:"how long one IDLE may stand, under 29m; 9m where a provider cuts early"`
	PollInterval      time.Duration `yaml:"pollInterval" doc:"how often STATUS is asked where the server has no IDLE"`
	ResponseTimeout   time.Duration `yaml:"responseTimeout" doc:"how long to wait for any one answer"`
	ConnectsPerSecond uint32        `yaml:"connectsPerSecond" doc:"how many connections all workers together open in a second, each with a login"`
	ConnectsAtOnce    uint32        `yaml:"connectsAtOnce" doc:"how many connections all workers together are opening at the same time"`
	MasterLogin       string        `yaml:"masterLogin" doc:"the login of a user that the master user or doveadm opens, made of {user} and {context}"`

	ReconcilePerSecond uint32  `yaml:"reconcilePerSecond" doc:"backend dovecot: of how many mailboxes all workers together ask in a second where they end, in case notifications were lost"`
	Doveadm            Doveadm `yaml:"doveadm"`
}

// Doveadm is the doveadm HTTP API of a Dovecot, with which mailboxes are read without
// anybody's login.
type Doveadm struct {
	URL         string        `yaml:"url" doc:"backend dovecot: where the doveadm HTTP API is, like https://mail.example.org:8080/doveadm/v1; empty without one"`
	APIKey      secret.String `yaml:"apiKey" doc:"Dovecot's doveadm_api_key"`
	APIKeyFile  string        `yaml:"apiKeyFile" doc:"file with Dovecot's doveadm_api_key; the workers read it"`
	CAFile      string        `yaml:"caFile" doc:"certificates to trust for doveadm instead of the system's"`
	Concurrency uint32        `yaml:"concurrency" doc:"how many requests each worker has out at doveadm at once; each occupies one of its processes"`
	Timeout     time.Duration `yaml:"timeout" doc:"how long one request to doveadm may take"`
}

// IMAPIdle is the imapidle backend.
type IMAPIdle struct {
	SupportsPermanentListeners bool `yaml:"supportsPermanentListeners" doc:"whether the imapidle backend may run permanent listeners"`
}

// Admin is the admin-api service.
type Admin struct {
	Listen          string        `yaml:"listen" doc:"public address of AdminService and PushService; off loopback it needs tls"`
	TLS             TLS           `yaml:"tls"`
	InternalListen  string        `yaml:"internalListen" doc:"address of RegistryService for the other services, mutual TLS"`
	InternalAddress []string      `yaml:"internalAddress" doc:"where the other services reach RegistryService; empty means internalListen"`
	OpsListen       string        `yaml:"opsListen" doc:"address of health and metrics, plain HTTP"`
	Database        secret.String `yaml:"database" doc:"registry database: sqlite:///PATH, postgres://..., mysql://..."`
	DatabaseFile    string        `yaml:"databaseFile" doc:"file with the database URL"`
	AllowedOrigins  []string      `yaml:"allowedOrigins" doc:"web origins whose pages may call the API (CORS)"`
	Administrators  []Account     `yaml:"administrators" doc:"who may administer: a list of {name, passwordHash} (see mailpush hash-password)"`
	Applications    []Application `yaml:"applications" doc:"who may subscribe: a list of {name, tokenHash, contexts} (see mailpush new-token)"`
}

// TLS is a server certificate.
type TLS struct {
	CertFile string `yaml:"certFile" doc:"server certificate"`
	KeyFile  string `yaml:"keyFile" doc:"key of the server certificate"`
}

// Account is one administrator.
type Account struct {
	Name         string `yaml:"name"`
	PasswordHash string `yaml:"passwordHash"`
}

// Application is one caller of PushService.
type Application struct {
	Name      string   `yaml:"name"`
	TokenHash string   `yaml:"tokenHash"`
	Contexts  []string `yaml:"contexts"`
}

// Vault is the credential-vault service.
type Vault struct {
	Listen       string        `yaml:"listen" doc:"address of VaultService, mutual TLS"`
	Address      []string      `yaml:"address" doc:"where the other services reach VaultService; empty means listen"`
	OpsListen    string        `yaml:"opsListen" doc:"address of health and metrics, plain HTTP"`
	Database     secret.String `yaml:"database" doc:"vault database, when push.credstorage.rdb is true"`
	DatabaseFile string        `yaml:"databaseFile" doc:"file with the database URL"`
}

// Scheduler is the scheduler service.
type Scheduler struct {
	Name      string   `yaml:"name" doc:"name of this replica; empty means host name and process id"`
	Listen    string   `yaml:"listen" doc:"address of SchedulerService, mutual TLS"`
	Address   []string `yaml:"address" doc:"where admin-api reaches the replicas; empty means listen"`
	OpsListen string   `yaml:"opsListen" doc:"address of health and metrics, plain HTTP"`
}

// Worker is the listener-worker service.
type Worker struct {
	Listen    string   `yaml:"listen" doc:"address of WorkerService, mutual TLS"`
	Advertise string   `yaml:"advertise" doc:"address admin-api reaches this worker at; empty means listen"`
	OpsListen string   `yaml:"opsListen" doc:"address of health and metrics, plain HTTP"`
	Backends  []string `yaml:"backends" doc:"the backends this worker is capable of"`
	Capacity  uint32   `yaml:"capacity" doc:"how many listeners this worker is built to carry; 0: as many as open files and memory allow, which --check and the log tell"`
	Zone      string   `yaml:"zone" doc:"failure zone this worker runs in"`

	Notify     Notify     `yaml:"notify"`
	MailNotify MailNotify `yaml:"mailnotify"`

	ReleaseTLSBuffers bool `yaml:"releaseTLSBuffers" doc:"idle connections to mail stores give back their TLS buffers; turn it off when in doubt about a new release of Go"`
}

// Log is what the log looks like.
type Log struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error"`
	Format string `yaml:"format" doc:"json or text"`
}

// Default returns the settings in force where the file is silent.
func Default() *Settings {
	return &Settings{
		Cluster: Cluster{
			Name:     "mailpush",
			Etcd:     Etcd{Endpoints: []string{"http://127.0.0.1:2379"}, Prefix: "/mailpush/"},
			Shards:   1024,
			LeaseTTL: 5 * time.Second,
		},
		Identity: Identity{Dir: "/etc/mailpush/tls"},
		Push:     Push{AllowPermanentPush: true, Webhook: Webhook{AllowPorts: []uint16{443, 8443}}},
		Mail:     Mail{PasswordSource: PasswordSession},
		Admin: Admin{
			Listen: "127.0.0.1:8080", InternalListen: "127.0.0.1:8101", OpsListen: "127.0.0.1:8111",
			Database: secret.New("sqlite:///var/lib/mailpush/admin-api/registry.db"),
		},
		Vault:     Vault{Listen: "127.0.0.1:8102", OpsListen: "127.0.0.1:8112", Database: secret.New("sqlite:///var/lib/mailpush/credential-vault/vault.db")},
		Scheduler: Scheduler{Listen: "127.0.0.1:8103", OpsListen: "127.0.0.1:8113"},
		Worker: Worker{
			Listen: "127.0.0.1:8104", OpsListen: "127.0.0.1:8114", Backends: []string{BackendIMAPIdle},
			MailNotify: MailNotify{Window: 5 * time.Second}, ReleaseTLSBuffers: true,
		},
		Log: Log{Level: "info", Format: "json"},
	}
}

// Single returns the settings of a mailpush in one process on one machine, where the
// file is silent: users' passwords sealed and kept, permanent listeners on, a log that
// a person reads.
func Single() *Settings {
	s := Default()
	s.Push.CredStorage.Enabled = true
	s.Push.CredStorage.RDB = true
	s.IMAPIdle.SupportsPermanentListeners = true
	s.Log.Format = "text"
	return s
}

// Embedded returns Single for demonstrations, tests and measurements: webhooks on
// plain HTTP and on loopback are allowed.
func Embedded() *Settings {
	s := Single()
	s.Push.Webhook.AllowHTTP = true
	s.Push.Webhook.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	return s
}

// AnyPort lets every address of every service have a free loopback port.
func (s *Settings) AnyPort() {
	for _, address := range []*string{
		&s.Admin.Listen, &s.Admin.InternalListen, &s.Admin.OpsListen,
		&s.Vault.Listen, &s.Vault.OpsListen,
		&s.Scheduler.Listen, &s.Scheduler.OpsListen,
		&s.Worker.Listen, &s.Worker.OpsListen,
	} {
		*address = "127.0.0.1:0"
	}
}
