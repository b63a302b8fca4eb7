// A load for the contention experiments: closed (USERS) or open (RATE), any number of clients.
//
//   k6 run -e BASE_URL=http://127.0.0.1:9999 -e USERS=16 -e SECONDS=10 loadtest/k6/experiment.js
//
// A closed load is so many users, each with one connection that is kept alive, who send their
// next request as soon as they have an answer. An open load is so many arrivals a second,
// whatever the answers take, over connections that are kept alive too.
//
// | variable | default               |                                                         |
// | -------- | --------------------- | ------------------------------------------------------- |
// | BASE_URL | http://127.0.0.1:9999 | the service                                             |
// | USERS    | 16                    | of a closed load; of an open one, how many may wait     |
// | RATE     |                       | arrivals a second, which makes it an open load          |
// | WARM_UP  | 2                     | seconds of load that do not count                       |
// | SECONDS  | 10                    | seconds that count                                      |
// | CLIENTS  | 5                     | clients of the bank, from 1 on, which must be there     |
// | ZIPF     | 0                     | client n is drawn in proportion to 1/n^ZIPF             |
// | FLOOD    |                       | arrivals a second that are for client 1 and do not      |
// |          |                       | count; the load is then for the others, with 0 as well  |
// | FLOOD_USERS | 1                  | how many of those may wait                              |
// | READS    | 0                     | share of the requests that are statements, 0 to 1       |
// | CREDITS  | 0.333                 | share of the transactions that are credits, 0 to 1      |
// | TIMEOUT  | 15000                 | milliseconds that a user waits for an answer            |
// | AFTER    | 0                     | seconds of 20 requests/s after the load, which tell     |
// |          |                       | when all is as it was                                   |
// | SUMMARY  |                       | a file that takes the outcome as JSON                   |
//
// Where an open load is to stay open past saturation, USERS must be at least RATE times TIMEOUT
// (in seconds): then a user is free again for every arrival, whatever the service does, and an
// iteration that k6 drops is k6's own failure.
//
// k6 shares the machine with what it loads, so whatever can be done once is: 0.15 ms of CPU per
// request are left, most of them k6's own. Only requests that begin in the measured interval count; the
// console says when that begins and ends, and when half of the warm-up is over. Where instances tell their times (SERVER_TIMING=on), one
// answer in eight is asked for them.

import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';
import { statementUrl, transactionUrl } from './lib/bank.js';
import { chooser, readyBodies } from './lib/draw.js';
import { outcomeOf, textOf } from './lib/outcome.js';
import { TIMED, spentOf } from './lib/timing.js';

const setting = (name, otherwise) => Number(__ENV[name] || otherwise);

const RATE = setting('RATE', 0);
const USERS = setting('USERS', 16);
const WARM_UP = setting('WARM_UP', 2);
const SECONDS = setting('SECONDS', 10);
const FLOOD = __ENV.FLOOD === undefined ? null : Number(__ENV.FLOOD);
const READS = setting('READS', 0);
const TIMEOUT = setting('TIMEOUT', 15000);
const AFTER = setting('AFTER', 0);

// Of what comes after the load: arrivals a second, and within how many milliseconds each is to be answered.
const AFTER_RATE = 20;
const WELL = 250;

// The share of the answers that are asked where their time went.
const TIMED_SHARE = 1 / 8;

const begun = new Counter('begun');
const right = new Trend('right', true);
const shed = new Trend('shed', true);
const wrong = new Counter('wrong');
const unwell = new Trend('unwell');
const timed = Object.fromEntries(TIMED.map((part) => [part, new Trend(part)]));

const duration = `${WARM_UP + SECONDS}s`;
const open = (rate, users) => ({ executor: 'constant-arrival-rate', rate, timeUnit: '1s', duration, preAllocatedVUs: users, maxVUs: users });
const load = RATE ? open(RATE, USERS) : { executor: 'constant-vus', vus: USERS, duration };
const gracefulStop = `${TIMEOUT + 1000}ms`;
const mark = (name, seconds) => ({ executor: 'per-vu-iterations', vus: 1, iterations: 1, startTime: `${seconds * 1000}ms`, exec: name });

export const options = {
  scenarios: {
    load: { ...load, exec: 'request', gracefulStop },
    ...(FLOOD && { flood: { ...open(FLOOD, setting('FLOOD_USERS', 1)), exec: 'flood', gracefulStop } }),
    ...(AFTER && { after: { ...open(AFTER_RATE, AFTER_RATE * AFTER), startTime: duration, duration: `${AFTER}s`, exec: 'after', gracefulStop } }),
    warm: mark('warm', WARM_UP / 2),
    begin: mark('begin', WARM_UP),
    end: mark('end', WARM_UP + SECONDS),
  },
  discardResponseBodies: true,
  maxRedirects: 0,
  systemTags: [],
  summaryTrendStats: ['count', 'avg', 'p(50)', 'p(95)', 'p(98)', 'p(99)', 'max'],
  userAgent: 'guiche experiment',
};

const BODIES = readyBodies(setting('CREDITS', 1 / 3));
const spared = FLOOD === null ? 0 : 1;
const choose = chooser(setting('CLIENTS', 5) - spared, setting('ZIPF', 0));
const client = () => spared + choose();
// Where one client is flooded, what each of the others gets; there are few.
const each = Array.from({ length: FLOOD === null ? 0 : setting('CLIENTS', 5) - spared }, (_, index) => index + 1 + spared)
  .map((one) => ({ client: one, asked: new Counter(`asked_${one}`), right: new Trend(`right_${one}`, true) }));
const anyBody = () => BODIES[Math.floor(Math.random() * BODIES.length)];
const POST = { headers: { 'Content-Type': 'application/json' }, timeout: TIMEOUT };
const GET = { timeout: TIMEOUT };

let since;
let until;

export function request() {
  if (until === undefined) {
    since = exec.scenario.startTime + WARM_UP * 1000;
    until = since + SECONDS * 1000;
  }
  const now = Date.now();
  const counts = now >= since && now < until;
  const whose = client();
  const own = each[whose - 1 - spared];
  if (counts) begun.add(1);
  if (counts && own) own.asked.add(1);
  const response =
    Math.random() < READS
      ? http.get(statementUrl(whose), GET)
      : http.post(transactionUrl(whose), anyBody(), POST);
  if (counts) record(response, own);
}

export function flood() {
  http.post(transactionUrl(1), anyBody(), POST);
}

export function after() {
  const response = http.post(transactionUrl(client()), anyBody(), POST);
  const ended = (Date.now() - exec.scenario.startTime) / 1000;
  unwell.add(isRight(response) && tookOf(response) <= WELL ? 0 : ended);
}

export const warm = () => console.log('half of the warm-up is over');
export const begin = () => console.log('measured interval begins');
export const end = () => console.log('measured interval ends');

// 422 is the answer to a debit beyond the limit.
const isRight = ({ status }) => status === 200 || status === 422;

// `blocked` lasts until there is a connection.
const tookOf = ({ timings }) => timings.blocked + timings.duration;

// 503 is the service's refusal of more than it can take. What is neither that nor right is wrong: no answer in
// time has the status 0.
function record(response, own) {
  const took = tookOf(response);
  tellIfSlow(response, took);
  if (isRight(response)) {
    right.add(took);
    if (own) own.right.add(took);
    if (Math.random() < TIMED_SHARE) recordTiming(spentOf(response));
  } else if (response.status === 503) {
    shed.add(took);
  } else {
    wrong.add(1);
  }
}

// An answer that may be slow is told at once, with where its time went, but one a second of each user at
// most: loadtest/src/measure/slow.rs reads it.
const MAY_BE_SLOW_MS = 50;
let tellsAgainAt = 0;

function tellIfSlow(response, took) {
  const now = Date.now();
  if (took <= MAY_BE_SLOW_MS || now < tellsAgainAt) return;
  tellsAgainAt = now + 1000;
  console.log(`slow answer: ${[now, took, ...(spentOf(response) || [])].join(' ')}`);
}

function recordTiming(times) {
  if (times) TIMED.forEach((part, index) => timed[part].add(times[index]));
}

export function handleSummary(data) {
  const outcome = outcomeOf(data, each.map((one) => one.client));
  return __ENV.SUMMARY ? { [__ENV.SUMMARY]: JSON.stringify(outcome) } : { stdout: textOf(outcome, SECONDS) };
}
