// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/secret"
)

// secretFile is a file whose content only the service may see, and the setting it is of.
type secretFile struct{ key, name string }

// CheckFileModes refuses files of the service whose secrets others may read or replace.
// Files that are not here are another machine's to judge.
func (s *Settings) CheckFileModes(service string) error {
	_, err := judgeFiles(s.ownSecretFiles(service), mounted)
	return err
}

// CheckFileModesSingle is CheckFileModes for a whole mailpush in one process.
func (s *Settings) CheckFileModesSingle() error {
	_, err := judgeFiles(s.secretFiles(identity.Services()...), mounted)
	return err
}

// ownSecretFiles are those that the settings name, and the key of the service's certificate.
func (s *Settings) ownSecretFiles(service string) []secretFile {
	return append(s.secretFiles(service), secretFile{"identity.dir", s.IdentityFiles(service).Key})
}

// secretFiles are the files that settings of the services name: keys, and what could be
// given in place as a secret.
func (s *Settings) secretFiles(services ...string) []secretFile {
	leaves := s.leaves()
	secrets := make(map[string]bool)
	for _, leaf := range leaves {
		if _, is := reflect.TypeAssert[secret.String](leaf.Value); is {
			secrets[leaf.Key] = true
		}
	}
	var out []secretFile
	for _, leaf := range leaves {
		name, _ := reflect.TypeAssert[string](leaf.Value)
		inPlace, isFile := strings.CutSuffix(leaf.Key, "File")
		readers := uptakeOf(leaf.Key)
		if name != "" && isFile && (secrets[inPlace] || strings.HasSuffix(inPlace, ".key")) &&
			overlap(slices.Concat(readers.Live, readers.Restart), services) {
			out = append(out, secretFile{leaf.Key, name})
		}
	}
	return out
}

// judgeFiles judges the files that are here.
func judgeFiles(files []secretFile, mounted func(name string) bool) (warnings []string, err error) {
	var errs []error
	for _, file := range files {
		info, err := os.Stat(file.name)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		mode := info.Mode().Perm()
		words, refused := judgeMode(mode, mounted(file.name))
		if words == "" {
			continue
		}
		words = fmt.Sprintf("%s: %s has the mode %04o: %s", file.key, file.name, mode, words)
		if !refused {
			warnings = append(warnings, words)
			continue
		}
		errs = append(errs, fmt.Errorf("%s; chmod %04o %s mends it, or %04o where the service reads it as one of its group",
			words, mode&0o700, file.name, mode&0o740))
	}
	return warnings, errors.Join(errs...)
}

// judgeMode says what is wrong with the mode of a file that holds a secret. On a disk the
// mode is the operator's choice. In a mount of its own, such as Kubernetes and systemd make
// for one service, it is theirs: there the group is how the service reads the file, and
// Kubernetes lets everybody read it unless it is told otherwise.
func judgeMode(mode fs.FileMode, mounted bool) (words string, refused bool) {
	switch {
	case mode&0o022 != 0:
		return "others than its owner may replace the secret", true
	case mode&0o004 != 0 && mounted:
		return "everybody may read the secret; 0440 is enough", false
	case mode&0o004 != 0:
		return "everybody on this machine may read the secret", true
	case mode&0o040 != 0 && !mounted:
		return "its group may read the secret; where the service is its owner, 0600 is enough", false
	default:
		return "", false
	}
}

// runtimeSecrets is where runtimes of containers put secrets, with the modes that the files
// have elsewhere.
const runtimeSecrets = "/run/secrets/"

// mounted tells whether a runtime or the system has put the file there for one service: by
// where it is, or because it is in memory.
func mounted(name string) bool {
	return strings.HasPrefix(filepath.Clean(name), runtimeSecrets) || inMemory(name)
}
