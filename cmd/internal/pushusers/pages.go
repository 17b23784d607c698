// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

// collect fetches pages until there is no next one. A server that offers the same
// page again is refused, rather than asked forever.
func collect[T any](c *client, page func(token string) (items []T, next string, err error)) ([]T, error) {
	var all []T
	seen := map[string]bool{"": true}
	for token := ""; ; {
		items, next, err := page(token)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if next == "" {
			return all, nil
		}
		if seen[next] {
			return nil, failf(exitServer, "%s sends the same page again and again", c.url)
		}
		seen[next] = true
		token = next
	}
}
