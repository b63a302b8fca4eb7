// Where an answer's time went, as the instances say with SERVER_TIMING=on.

// The parts of `Server-Timing` that are durations, in the header's order.
export const TIMED = ['queue', 'connection', 'database', 'lock', 'work'];

const TIMING = new RegExp(TIMED.map((part) => `${part};dur=([0-9.]+)`).join('.*'));

// Milliseconds of each part, or nothing where the answer does not say.
export function spentOf({ headers }) {
  const times = TIMING.exec(headers['Server-Timing'] || '');
  return times && times.slice(1).map(Number);
}
