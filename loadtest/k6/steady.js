// The contest's open load at its peak and nothing else: no opening, no validations, no ramp.
//
//   k6 run -e BASE_URL=http://127.0.0.1:9999 loadtest/k6/steady.js
//
// 220 debits, 110 credits and 10 statements per second, whatever the answers take, each request
// on a connection of its own.
//
// | variable | default               |                                          |
// | -------- | --------------------- | ---------------------------------------- |
// | BASE_URL | http://127.0.0.1:9999 | the service                              |
// | SECONDS  | 30                    | for how long                             |

import { PEAKS } from './lib/plan.js';

export { credit, debit, statement } from './contest.js';

const SECONDS = Number(__ENV.SECONDS || 30);
const USERS = { debits: 'debit', credits: 'credit', statements: 'statement' };

// As many iterations as can be under way at once before k6 drops one: for a stall of 1.5 s
// without a new virtual user, and of 5 s at most.
const arrivals = (operation) => ({
  executor: 'constant-arrival-rate',
  exec: USERS[operation],
  rate: PEAKS[operation],
  timeUnit: '1s',
  duration: `${SECONDS}s`,
  preAllocatedVUs: Math.ceil(1.5 * PEAKS[operation]),
  maxVUs: 5 * PEAKS[operation],
});

export const options = {
  scenarios: Object.fromEntries(Object.keys(USERS).map((operation) => [operation, arrivals(operation)])),
  noVUConnectionReuse: true,
  maxRedirects: 0,
  systemTags: ['check', 'group'],
  userAgent: 'guiche steady',
};
