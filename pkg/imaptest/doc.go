// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package imaptest holds IMAP servers to test and to demonstrate against: Server
// is a real one in memory, Script one that misbehaves as functions say, Odd one that
// misbehaves as a few lines of data say, Many one that holds thousands of idle
// connections for little memory.
//
// Invariant: they listen where they are told, on loopback by default, keep
// everything in memory, and end with Close.
package imaptest
