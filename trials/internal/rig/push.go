// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig

import "mailpush.internal/proto/gen/mailpush/push/v1/pushv1connect"

// Push is PushService, called by the administrator.
func (m *Mailpush) Push() pushv1connect.PushServiceClient { return m.push }
