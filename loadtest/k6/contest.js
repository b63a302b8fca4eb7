// The official simulation of Rinha de Backend 2024/Q1, played by k6 instead of Gatling.
//
//   k6 run -e BASE_URL=http://127.0.0.1:9999 loadtest/k6/contest.js
//
// 1. `setup`: 25 debits of 1 at once on client 1, whose statement must then say -25; 25 credits
//    at once, then 0. After that the five clients side by side, each one's rules in turn, and
//    client 6, who must not exist.
// 2. The open load: debits, credits and statements at rates that rise for two minutes and then
//    stay for two. k6's arrival-rate executors start as many iterations as Gatling's
//    `rampUsersPerSec` and `constantUsersPerSec` inject users, to within one each.
//
// A Gatling user opens a connection of its own, and so does every iteration here.
//
// | variable | default                      |                                                   |
// | -------- | ---------------------------- | ------------------------------------------------- |
// | BASE_URL | http://127.0.0.1:9999        | the service, with every balance zero              |
// | QUICK    |                              | 1: rises for 10 s and stays for 10 s              |
// | RAMP     | 120, with QUICK 10           | seconds that the rates rise                       |
// | PLATEAU  | 120, with QUICK 10           | seconds that they stay                            |
// | SUMMARY  |                              | a file that takes the outcome as JSON             |

import http from 'k6/http';
import exec from 'k6/execution';
import { BASE_URL, LIMITS, randomClient, randomTransaction, statementUrl, transact } from './lib/bank.js';
import { judgeRefusal, judgeStatement, judgeTransaction, record } from './lib/judge.js';
import { PEAKS, PLATEAU_SECONDS, RAMP_SECONDS } from './lib/plan.js';
import { summaryOf, thresholds } from './lib/summary.js';
import { validateClient } from './lib/validations.js';

const OPENING = 25;

// As many iterations as can be under way at once before k6 drops one: preallocated for a stall
// of 1.5 s at the peak rate, the bound for one of 5 s. A run that drops any is not valid.
const STALL_SECONDS = { preallocated: 1.5, bound: 5 };

// k6 never starts an iteration whose time has come only when the last stage is over. Seconds at
// rate zero let the last ones start, so that the number of requests is exact.
const SILENCE = [{ target: 0, duration: '0s' }, { target: 0, duration: '4s' }];

export const options = {
  scenarios: {
    debits: arrivals('debits', 'debit'),
    credits: arrivals('credits', 'credit'),
    statements: arrivals('statements', 'statement'),
  },
  noVUConnectionReuse: true,
  maxRedirects: 0,
  setupTimeout: '10m',
  thresholds: thresholds(),
  summaryTrendStats: ['avg', 'p(50)', 'p(98)', 'p(99)', 'max', 'count'],
  // Each tag makes every sample dearer; these two are what the summary of checks needs.
  systemTags: ['check', 'group'],
  userAgent: 'guiche contest',
};

// 422 is an answer like another: whether it is right here is for the judge to say.
http.setResponseCallback(null);

function arrivals(operation, user) {
  const peak = PEAKS[operation];
  return {
    executor: 'ramping-arrival-rate',
    exec: user,
    startRate: 1,
    timeUnit: '1s',
    stages: [
      { target: peak, duration: `${RAMP_SECONDS}s` },
      { target: peak, duration: `${PLATEAU_SECONDS}s` },
      ...SILENCE,
    ],
    preAllocatedVUs: Math.ceil(peak * STALL_SECONDS.preallocated),
    maxVUs: peak * STALL_SECONDS.bound,
    // Longer than a request may take (60 s), so that none is cut off uncounted.
    gracefulStop: '65s',
  };
}

export async function setup() {
  const debits = await atOnce(OPENING, 'd');
  if (debits.every((response) => response.status === 0)) {
    exec.test.abort(`nothing answers at ${BASE_URL}`);
  }
  await balanceOfClientOne(-OPENING);
  await atOnce(OPENING, 'c');
  await balanceOfClientOne(0);

  const clients = Object.keys(LIMITS).map(Number);
  await Promise.all([...clients.map(validateClient), clientSixDoesNotExist()]);
}

// Each of these is a user of its own in the simulation, hence a connection of its own.
const ALONE = { headers: { Connection: 'close' } };

async function atOnce(count, tipo) {
  const one = async () => {
    const response = await transact(1, { valor: 1, tipo, descricao: 'validacao' }, ALONE);
    record('validations', response, judgeTransaction(response, 1));
    return response;
  };
  return Promise.all(Array.from({ length: count }, one));
}

async function balanceOfClientOne(total) {
  const response = await http.asyncRequest('GET', statementUrl(1), null, ALONE);
  record('validations', response, judgeStatement(response, 1, { total }));
}

async function clientSixDoesNotExist() {
  const response = await http.asyncRequest('GET', statementUrl(6), null, ALONE);
  record('validations', response, judgeRefusal(response, [404]));
}

export async function debit() {
  const client = randomClient();
  const response = await transact(client, randomTransaction('d'));
  record('debits', response, judgeTransaction(response, client, { refusable: true }));
}

export async function credit() {
  const client = randomClient();
  const response = await transact(client, randomTransaction('c'));
  record('credits', response, judgeTransaction(response, client));
}

export async function statement() {
  const client = randomClient();
  const response = await http.asyncRequest('GET', statementUrl(client));
  record('statements', response, judgeStatement(response, client));
}

export function handleSummary(data) {
  const summary = summaryOf(data);
  if (__ENV.SUMMARY) return { [__ENV.SUMMARY]: `${JSON.stringify(summary.json, null, 2)}\n` };
  return { stdout: summary.text };
}
