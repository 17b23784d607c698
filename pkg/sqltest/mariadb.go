// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqltest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/go-sql-driver/mysql"

	"mailpush.internal/pkg/proctest"
)

// NewMariaDB is NewPostgres for MariaDB, with the system user mysql. The server has
// its built-in defaults, latin1 for one: tables must say themselves what they need.
func NewMariaDB(dir string) (*Server, error) {
	programs, err := findMariaDB()
	if err != nil {
		return nil, err
	}
	return engine{
		user:     "mysql",
		scheme:   "mysql",
		dropping: "DROP DATABASE %s",
		orderly:  syscall.SIGTERM,
		prepare:  programs.prepare,
		serve:    programs.serve,
		open: func(address url.URL, database string) (*sql.DB, error) {
			config := mysql.NewConfig()
			config.User = address.User.Username()
			config.Passwd, _ = address.User.Password()
			config.Net, config.Addr, config.DBName = "tcp", address.Host, database
			config.Logger = &mysql.NopLogger{}
			connector, err := mysql.NewConnector(config)
			if err != nil {
				return nil, err
			}
			return sql.OpenDB(connector), nil
		},
	}.start(dir)
}

// mariadb is where the two programs are.
type mariadb struct{ install, server string }

func findMariaDB() (mariadb, error) {
	var m mariadb
	for name, path := range map[string]*string{"mariadb-install-db": &m.install, "mariadbd": &m.server} {
		for _, dir := range []string{"", "/usr/bin/", "/usr/sbin/"} {
			if found, err := exec.LookPath(dir + name); err == nil {
				*path = found
				break
			}
		}
		if *path == "" {
			return mariadb{}, missing("MariaDB", fmt.Errorf("finding %s: %w", name, exec.ErrNotFound))
		}
	}
	return m, nil
}

func (m mariadb) prepare(ctx context.Context, site site) error {
	// A directory of its own for temporary tables here too: a server that starts
	// removes those it finds, another's with them.
	err := site.run(ctx, m.install, "--no-defaults", "--datadir="+filepath.Join(site.dir, "data"),
		"--tmpdir="+site.dir, "--auth-root-authentication-method=normal", "--skip-test-db")
	if err != nil {
		return err
	}
	accounts := fmt.Sprintf("CREATE USER '%[1]s'@'127.0.0.1' IDENTIFIED BY '%[2]s';\n"+
		"GRANT ALL ON *.* TO '%[1]s'@'127.0.0.1' WITH GRANT OPTION;\n"+
		"DROP USER 'root'@'localhost';\n", superuser, site.password)
	// Readable inside a directory that is private.
	return os.WriteFile(filepath.Join(site.dir, "accounts.sql"), []byte(accounts), 0o644)
}

func (m mariadb) serve(owner owner, site site, port string) (*proctest.Process, error) {
	return owner.serve(site.dir, m.server, syscall.SIGKILL, // an orderly end takes seconds
		"--no-defaults",
		"--datadir="+filepath.Join(site.dir, "data"), "--tmpdir="+site.dir,
		"--socket="+filepath.Join(site.dir, "socket"), "--pid-file="+filepath.Join(site.dir, "pid"),
		"--bind-address=127.0.0.1", "--port="+port, "--skip-name-resolve",
		"--init-file="+filepath.Join(site.dir, "accounts.sql"),
		"--max-connections=300", "--innodb-buffer-pool-size=64M", "--skip-log-bin",
		"--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync")
}
