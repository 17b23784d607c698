// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

//go:build race

package rig

// raceDetector tells that this program was built with it.
const raceDetector = true
