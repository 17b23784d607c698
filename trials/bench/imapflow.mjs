// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Holds mailboxes open in IDLE with the stock imapflow client until it is told to end:
// node imapflow.mjs HOST PORT CA FIRST COUNT AT-ONCE

import { readFileSync } from 'node:fs';
import { ImapFlow } from 'imapflow';

const [host, port, ca, first, count, atOnce] = process.argv.slice(2);
const tls = { ca: readFileSync(ca), servername: 'localhost' };
const clients = [];

function fail(error) {
  console.error(error);
  process.exit(1);
}

async function open(box) {
  const client = new ImapFlow({
    host, port: Number(port), secure: true, tls, auth: { user: `box-${box}`, pass: 'pw' }, logger: false,
  });
  client.on('error', fail);
  await client.connect();
  await client.mailboxOpen('INBOX', { readOnly: true });
  client.idle().catch(fail);
  clients.push(client);
}

let next = Number(first);
const end = next + Number(count);
async function openSome() {
  while (next < end) {
    await open(next++);
  }
}

Promise.all(Array.from({ length: Number(atOnce) }, openSome)).catch(fail);
