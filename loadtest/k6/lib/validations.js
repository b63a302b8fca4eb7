// What the simulation asks of each client before the load: a user of its own per client, who
// goes through these 14 requests in turn.

import http from 'k6/http';
import { statementUrl, transact } from './bank.js';
import { judgeRefusal, judgeStatement, judgeTransaction, record } from './judge.js';

const READERS = 4;

const INVALID = [
  { valor: 1.2, tipo: 'd', descricao: 'devolve' },
  { valor: 1, tipo: 'x', descricao: 'devolve' },
  { valor: 1, tipo: 'c', descricao: '123456789 e mais um pouco' },
  { valor: 1, tipo: 'c', descricao: '' },
  { valor: 1, tipo: 'c', descricao: null },
];

export async function validateClient(client) {
  await read(client, { total: 0 });
  const credit = { valor: 1, tipo: 'c', descricao: 'toma' };
  const debit = { valor: 1, tipo: 'd', descricao: 'devolve' };
  await apply(client, credit);
  await apply(client, debit);
  await read(client, { total: 0, newest: [debit, credit] });

  // Whoever reads after an answer sees what was answered, whichever instance answers them.
  const last = { valor: 1, tipo: 'c', descricao: 'danada' };
  const total = await apply(client, last);
  await Promise.all(Array.from({ length: READERS }, () => read(client, { total, newest: [last] })));

  for (const body of INVALID) {
    const response = await transact(client, body);
    record('validations', response, judgeRefusal(response, [422, 400]));
  }
}

// Resolves to the balance afterwards, or to `undefined` when the answer was not right.
async function apply(client, transaction) {
  const response = await transact(client, transaction);
  const problem = judgeTransaction(response, client);
  record('validations', response, problem);
  return problem ? undefined : response.json('saldo');
}

async function read(client, expected) {
  const response = await http.asyncRequest('GET', statementUrl(client));
  record('validations', response, judgeStatement(response, client, expected));
}
