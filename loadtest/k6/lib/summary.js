// What is left of a run: the thresholds that give it an exit code, and its outcome as JSON and
// as text.

import { FAST_MS, VERDICTS } from './judge.js';
import { OPERATIONS, PLATEAU_SECONDS, RAMP_SECONDS } from './plan.js';

const operationVerdict = (operation, verdict) => `responses{operation:${operation},verdict:${verdict}}`;
const operationTime = (operation) => `response_time{operation:${operation}}`;

// k6 keeps the parts of a metric apart only where a threshold names them: `count>=0` is always
// true and is there for that.
export function thresholds() {
  const all = {
    within_sla: ['rate>=0.98'],
    'responses{verdict:inconsistent}': ['count==0'],
    'responses{verdict:wrong}': ['count==0'],
    dropped_iterations: ['count==0'],
  };
  for (const operation of OPERATIONS) {
    all[operationTime(operation)] = [`p(98)<=${FAST_MS}`];
    for (const verdict of VERDICTS) all[operationVerdict(operation, verdict)] = ['count>=0'];
  }
  return all;
}

export function summaryOf(data) {
  const json = {
    ramp_s: RAMP_SECONDS,
    plateau_s: PLATEAU_SECONDS,
    operations: Object.fromEntries(OPERATIONS.map((operation) => [operation, operationOf(data, operation)])),
    response_time_ms: timesOf(data.metrics.response_time),
    acknowledged: countOf(data, 'acknowledged'),
    outcome_unknown: countOf(data, 'outcome_unknown'),
    dropped_iterations: countOf(data, 'dropped_iterations'),
    failures: failuresOf(data.root_group),
  };
  return { json, text: textOf(json) };
}

function operationOf(data, operation) {
  const counts = VERDICTS.map((verdict) => [verdict, countOf(data, operationVerdict(operation, verdict))]);
  return { ...Object.fromEntries(counts), response_time_ms: timesOf(data.metrics[operationTime(operation)]) };
}

function countOf(data, metric) {
  return data.metrics[metric] ? data.metrics[metric].values.count : 0;
}

function timesOf(metric) {
  const values = metric ? metric.values : {};
  const at = (stat) => values[stat] || 0;
  return { avg: at('avg'), p50: at('p(50)'), p98: at('p(98)'), p99: at('p(99)'), max: at('max') };
}

function failuresOf(group) {
  const here = group.checks.filter((one) => one.fails > 0).map(({ name, fails }) => ({ what: name, count: fails }));
  return [...here, ...group.groups.flatMap(failuresOf)];
}

function textOf({ operations, failures, dropped_iterations }) {
  const columns = [...VERDICTS, 'p50', 'p98', 'p99', 'max'];
  const lines = [['', ...columns]];
  for (const [operation, outcome] of Object.entries(operations)) {
    const times = outcome.response_time_ms;
    const cell = (column) => (column in times ? `${times[column].toFixed(1)} ms` : String(outcome[column]));
    lines.push([operation, ...columns.map(cell)]);
  }
  const table = lines.map(([name, ...cells]) => name.padEnd(12) + cells.map((cell) => cell.padStart(13)).join(''));
  const faults = failures.map(({ what, count }) => `  ${count} × ${what}`);
  return `\n${[...table, '', ...faults, `dropped iterations: ${dropped_iterations}`].join('\n')}\n${scoreOf(operations)}\n`;
}

// The contest pays USD 100,000, less 1,000 for each percent of right and fast responses under 98
// and 803.01 for each inconsistent one.
function scoreOf(operations) {
  const total = (verdict) => Object.values(operations).reduce((sum, outcome) => sum + outcome[verdict], 0);
  const responses = VERDICTS.reduce((sum, verdict) => sum + total(verdict), 0);
  const percent = responses > 0 ? (100 * total('right')) / responses : 0;
  const fine = Math.max(0, 98 - percent) * 1000 + total('inconsistent') * 803.01;
  return `${percent.toFixed(2)}% right and under ${FAST_MS} ms, ${total('inconsistent')} inconsistent: USD ${(100000 - fine).toFixed(2)}`;
}
