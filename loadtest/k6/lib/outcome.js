// What is left of a run of experiment.js: counts and times of its measured interval.

import { TIMED } from './timing.js';

export function outcomeOf({ metrics }, clients) {
  const values = (name) => (metrics[name] ? metrics[name].values : {});
  const count = (name) => values(name).count || 0;
  const times = values('right');
  return {
    requests: count('begun'),
    right: count('right'),
    shed: count('shed'),
    shed_p99_ms: metrics.shed ? values('shed')['p(99)'] : null,
    each: clients.map((client) => ({ client, asked: count(`asked_${client}`), right: count(`right_${client}`), p99_ms: count(`right_${client}`) ? values(`right_${client}`)['p(99)'] : null })),
    unwell_s: metrics.unwell ? values('unwell').max : null,
    wrong: count('wrong'),
    dropped: count('dropped_iterations'),
    latency_ms: { p50: times['p(50)'] || 0, p95: times['p(95)'] || 0, p98: times['p(98)'] || 0, p99: times['p(99)'] || 0, max: times.max || 0 },
    timed: count('work'),
    spent_ms: Object.fromEntries(TIMED.map((part) => [part, values(part).avg || 0])),
  };
}

export function textOf({ requests, right, shed, shed_p99_ms, unwell_s, wrong, dropped, latency_ms, timed, spent_ms }, seconds) {
  const times = (all) => Object.entries(all).map(([name, ms]) => `${name} ${ms.toFixed(1)}`).join(', ');
  const spent = timed ? `of which, on average: ${times(spent_ms)}` : 'where it went is not told: SERVER_TIMING=on makes the instances say it';
  const refused = shed ? ` (p99 ${shed_p99_ms.toFixed(1)} ms)` : '';
  const after = unwell_s === null ? '' : `as it was again ${unwell_s.toFixed(2)} s after the load\n`;
  return `
${requests} requests in ${seconds} s: ${(right / seconds).toFixed(0)} right answers/s, ${shed} shed${refused}, ${wrong} wrong
response time in ms: ${times(latency_ms)}
${spent}
dropped iterations: ${dropped}
${after}`;
}
