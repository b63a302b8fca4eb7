// Transactions that are asked for until their outcome is known.

import { sleep } from 'k6';
import http from 'k6/http';
import { transactionUrl } from './bank.js';

// Seconds between two attempts: twice as long each time, up to the longest, and never the same for all.
const SHORTEST = 0.02;
const LONGEST = 1;

// Whether it is left open what became of the transaction (504, no answer, a front's own error), or nothing did (503).
const isOpen = ({ status }) => status === 0 || status >= 500;

// Returns a UUIDv7: one that begins with the time, which is cheaper to remember (docs/idempotency.md).
export function newKey() {
  const time = Date.now().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${crypto.randomUUID().slice(15)}`;
}

// POSTs `body`, an object, under one key until the answer says what became of it, and returns that answer: 200, or
// the problem that every further attempt would be told as well. After `patience` seconds it returns whatever
// came last. However often it was sent, it is applied once at most.
export function settle(client, body, { key = newKey(), patience = 60 } = {}) {
  const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': `"${key}"` };
  const until = Date.now() + patience * 1000;
  for (let pause = SHORTEST; ; pause = Math.min(2 * pause, LONGEST)) {
    const response = http.post(transactionUrl(client), JSON.stringify(body), { headers, timeout: '15s' });
    if (!isOpen(response) || Date.now() > until) return response;
    sleep(pause * (0.5 + Math.random() / 2));
  }
}
