// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"strings"
)

// Actor is who does something; the zero value is mailpush by itself.
type Actor struct {
	Kind ActorKind
	Name string
}

// ActorKind is a kind of actors, as it is stored.
type ActorKind string

const (
	// System is mailpush by itself, such as after an answer of a mail store.
	System ActorKind = ""
	// Administrator is a caller of AdminService, or of PushService with their credentials.
	Administrator ActorKind = "administrator"
	// Application is a caller of PushService.
	Application ActorKind = "application"
)

// system is how the zero value is written.
const system = "system"

// String writes the actor as [ParseActor] reads it.
func (a Actor) String() string {
	if a.Kind == System {
		return system
	}
	return string(a.Kind) + " " + a.Name
}

// ParseActor reads what [Actor.String] has written; anything else is mailpush itself.
func ParseActor(text string) Actor {
	kind, name, _ := strings.Cut(text, " ")
	switch k := ActorKind(kind); k {
	case Administrator, Application:
		return Actor{k, name}
	default:
		return Actor{}
	}
}

type actorKey struct{}

// Acting has what is done within the context remembered as the actor's.
func Acting(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf is who acts within the context.
func ActorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}
