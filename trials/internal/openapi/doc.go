// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package openapi holds the OpenAPI document of the public services against validators that
// know nothing of each other: kin-openapi, and the schema of the OpenAPI Initiative
// (https://spec.openapis.org/oas/3.1/schema/2022-10-07, in testdata) with that of JSON
// Schema 2020-12. It is tests only, and lies here so that what ships needs neither.
package openapi
