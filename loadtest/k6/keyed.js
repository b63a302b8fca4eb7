// Credits whose every outcome is learned, whatever happens to the service meanwhile.
//
//   k6 run -e BASE_URL=http://127.0.0.1:9999 loadtest/k6/keyed.js
//
// Each is sent under a key of its own until it is answered, and then once more: the second answer must be the first,
// to the letter. Kill an instance or the database while it runs; the balances grow by as many cents as `applied`
// counts.
//
// | variable | default               |                    |
// | -------- | --------------------- | ------------------ |
// | BASE_URL | http://127.0.0.1:9999 | the service        |
// | SECONDS  | 10                    | for how long       |
// | USERS    | 8                     | how many at a time |

import { check } from 'k6';
import { Counter } from 'k6/metrics';
import { randomClient } from './lib/bank.js';
import { newKey, settle } from './lib/settle.js';

export const options = {
  scenarios: {
    keyed: {
      executor: 'constant-vus',
      vus: Number(__ENV.USERS || 8),
      duration: `${Number(__ENV.SECONDS || 10)}s`,
      gracefulStop: '90s', // whoever is at it goes on until it knows
    },
  },
  thresholds: { checks: ['rate==1'] },
  userAgent: 'guiche keyed',
};

const applied = new Counter('applied');

export default function () {
  const client = randomClient();
  const body = { valor: 1, tipo: 'c', descricao: 'keyed' };
  const key = newKey();
  const first = settle(client, body, { key });
  if (check(first, { 'a credit is applied': ({ status }) => status === 200 })) applied.add(1);
  check(settle(client, body, { key }), { 'the second answer is the first': ({ body: again }) => again === first.body });
}
