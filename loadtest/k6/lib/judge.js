// The judgement of a response.
//
// A judge returns `null` for a right response, or a problem: `inconsistent` where the contest
// fines the response (a balance below -limit, or a statement that contradicts what was already
// answered), `wrong` for every other fault. A right response that takes over 250 ms is `slow`.
// Only right and fast ones count for the SLA.

import { check } from 'k6';
import exec from 'k6/execution';
import { Counter, Rate, Trend } from 'k6/metrics';
import { LIMITS } from './bank.js';
import { spentOf } from './timing.js';

export const FAST_MS = 250;
// loadtest/src/stalls.rs says what is slow in the end.
const MAY_BE_SLOW_MS = 50;
export const VERDICTS = ['right', 'slow', 'wrong', 'inconsistent'];

const responseTime = new Trend('response_time', true);
const responses = new Counter('responses');
const withinSla = new Rate('within_sla');
// Transactions answered 200: each must be a row of the database afterwards.
const acknowledged = new Counter('acknowledged');
// Transactions that may or may not have become a row: cut off, timed out, or a 5xx.
const outcomeUnknown = new Counter('outcome_unknown');

// Counts `response` under `operation` with the verdict that follows from `problem`.
export function record(operation, response, problem) {
  const took = responseTimeMs(response);
  const verdict = problem ? problem.verdict : took <= FAST_MS ? 'right' : 'slow';
  const tags = { operation, verdict };
  // Of an answer that may be slow, where its time went goes along.
  const timing = took > MAY_BE_SLOW_MS && spentOf(response);
  if (timing) exec.vu.metrics.metadata.timing = timing.join(' ');
  responseTime.add(took, tags);
  if (timing) delete exec.vu.metrics.metadata.timing;
  responses.add(1, tags);
  withinSla.add(verdict === 'right', tags);
  if (response.request.method === 'POST') {
    if (response.status === 200) acknowledged.add(1);
    else if (response.status === 0 || response.status >= 500) outcomeUnknown.add(1);
  }
  // A check is recorded only when it fails: 61,503 that pass would cost much and say nothing.
  if (problem) check(null, { [`${operation}: ${problem.what}`]: () => false });
}

// Milliseconds from wanting a connection to the last byte. k6's `blocked` lasts until the
// connection is there, so it contains `connecting` and `tls_handshaking`: they are not added.
function responseTimeMs({ timings }) {
  return timings.blocked + timings.sending + timings.waiting + timings.receiving;
}

// The answer to a valid transaction. `refusable`: 422 is right too.
export function judgeTransaction(response, client, { refusable = false } = {}) {
  if (refusable && response.status === 422) return null;
  if (response.status !== 200) return unexpectedStatus(response);
  const body = parse(response);
  if (!body) return wrong('the body is not JSON of whole numbers');
  return judgeBalance(body.saldo, body.limite, client);
}

// The answer to a statement. `total` and `newest` (its first entries), where given, must match.
export function judgeStatement(response, client, { total, newest = [] } = {}) {
  if (response.status !== 200) return unexpectedStatus(response);
  const body = parse(response);
  if (!body || !body.saldo) return wrong('the body is not JSON of whole numbers');
  const entries = body.ultimas_transacoes;
  return (
    judgeBalance(body.saldo.total, body.saldo.limite, client) ||
    judgeEntries(entries) ||
    judgeDate(body.saldo.data_extrato) ||
    (total !== undefined && body.saldo.total !== total && inconsistent('a statement has another total')) ||
    (!newest.every((entry, i) => sameEntry(entry, entries[i])) &&
      inconsistent('a statement lacks what was just answered')) ||
    (entries.length < 10 && sum(entries) !== body.saldo.total && inconsistent('a statement is not the sum of its entries')) ||
    null
  );
}

// An answer that must be one of `statuses`.
export function judgeRefusal(response, statuses) {
  return statuses.includes(response.status) ? null : unexpectedStatus(response);
}

function judgeBalance(balance, limit, client) {
  if (!Number.isInteger(balance) || !Number.isInteger(limit)) return inconsistent('no balance or no limit');
  if (balance < -LIMITS[client]) return inconsistent('the balance is below -limit');
  if (limit !== LIMITS[client]) return wrong('the limit is not this client’s');
  return null;
}

function judgeEntries(entries) {
  if (!Array.isArray(entries) || entries.length > 10) return wrong('not a list of ten entries at most');
  let after = Infinity;
  for (const { valor, tipo, descricao, realizada_em } of entries) {
    const at = Date.parse(realizada_em);
    const valid =
      Number.isInteger(valor) &&
      valor > 0 &&
      (tipo === 'c' || tipo === 'd') &&
      typeof descricao === 'string' &&
      descricao.length > 0 &&
      !Number.isNaN(at);
    if (!valid) return wrong('an entry of a statement is not valid');
    if (at > after) return wrong('the entries are not newest first');
    after = at;
  }
  return null;
}

const judgeDate = (text) => (Number.isNaN(Date.parse(text)) ? wrong('no date of the statement') : null);

const sameEntry = (a, b) =>
  b !== undefined && a.valor === b.valor && a.tipo === b.tipo && a.descricao === b.descricao;

const sum = (entries) => entries.reduce((total, { valor, tipo }) => total + (tipo === 'c' ? valor : -valor), 0);

// JavaScript reads 1.0 as 1, so a number that is not written as an integer is looked for first.
const NOT_AN_INTEGER = /"(?:saldo|total|limite|valor)"\s*:\s*-?[0-9]+[.eE]/;

function parse({ body }) {
  if (NOT_AN_INTEGER.test(body)) return null;
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}

const wrong = (what) => ({ verdict: 'wrong', what });
const inconsistent = (what) => ({ verdict: 'inconsistent', what });

function unexpectedStatus({ status, error_code }) {
  return wrong(status === 0 ? `no answer (k6 error ${error_code})` : `answered ${status}`);
}
