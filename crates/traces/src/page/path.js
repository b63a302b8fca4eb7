// Where a request's time went: its critical path, from its arrival to its answer.

// Parts that follow each other without a gap: a kind (of the style sheet), a name, from when until when, and what is to
// be said of it. What the trace does not know is left out.
function pathOf(data, r) {
  const { requests, calls } = data;
  const begun = requests.at[r];
  const answered = begun + took(data, r);
  const call = requests.call[r];
  if (call === NONE || answered === begun) return [];
  const path = [];
  let at = begun;
  const part = (kind, name, to, says = []) => {
    const end = Math.min(Math.max(to, at), answered);
    if (end > at) path.push({ kind, name, from: at, to: end, says });
    at = end;
  };
  const cut = calls.at[call];
  const queued = requests.queued[r] === NONE ? 0 : requests.queued[r];
  part("arrival", "arrives", cut - queued);
  part("waiting", "in the mailbox", cut, behind(data, r, cut));
  part("connection", "gets a connection", cut + calls.connection[call]);
  const waits = cut + calls.connection[call];
  part("lock", "waits for its row", waits + calls.lock[call], [...waitWords(data, call)]);
  part("work", "works", waits + calls.lock[call] + calls.work[call]);
  const seen = committedBy(data, call);
  if (seen > at && seen < answered) {
    part("rest", "commits", seen, ["at most: the next one had the row then"]);
    if (calls.throttled[call]) part("slice", "waits for a slice of CPU time", seen + calls.throttled[call], ["at most"]);
    part("back", "comes back", answered);
  } else {
    const still = Math.min(calls.throttled[call], answered - at);
    part("rest", "commits, comes back", answered, still ? [`at most ${duration(still)} of it without a slice of CPU time`] : []);
  }
  return path;
}

function waitWords(data, call) {
  const words = holdersOf(data, call);
  return words.length && data.calls.waited[call] === HELD ? ["held by ", ...words] : words;
}

// What was out for the request's mailbox while it waited there, the last one: it is cut when that is back.
function behind(data, r, cut) {
  const { requests, calls, bars, lanes } = data;
  const lane = lanes[requests.lane[r]];
  const startOf = (b) => calls.at[bars.call[b]];
  const before = lane.bars.subarray(lowerBound(lane.bars, requests.at[r] - lane.longestBar, startOf), lowerBound(lane.bars, cut, startOf));
  let last;
  for (const b of before) {
    const end = callEnd(data, bars.call[b]);
    if (bars.call[b] === requests.call[r] || end < requests.at[r] || end > cut + SLACK) continue;
    if (last === undefined || end > callEnd(data, bars.call[last])) last = b;
  }
  if (last !== undefined) return ["behind ", callLink(data, bars.call[last])];
  const other = lastOut(data, lane.instance, requests.at[r], cut);
  return other === undefined ? [] : ["while the instance was busy with others: ", callLink(data, other)];
}

// The instance's call that was back last before a cut, of those that were out after `from`.
function lastOut(data, instance, from, cut) {
  const { calls } = data;
  data.longestCall ??= calls.total.reduce((most, total) => Math.max(most, total), 0);
  data.callOrder ??= calls.at.map((_, c) => c);
  let last;
  for (let c = lowerBound(data.callOrder, cut, (c) => calls.at[c]) - 1; c >= 0 && calls.at[c] >= from - data.longestCall; c--) {
    const end = callEnd(data, c);
    if (calls.instance[c] !== instance || end < from || end > cut + SLACK) continue;
    if (last === undefined || end > callEnd(data, last)) last = c;
  }
  return last;
}

// A call is over a little after those behind it are cut.
const SLACK = 2000;

// The earliest moment at which somebody else had a row that the call had held: it was committed by then.
function committedBy(data, call) {
  const { calls, holds } = data;
  let earliest = Infinity;
  for (const h of data.held.get(call) ?? []) {
    const waiter = holds.call[h];
    const moment = calls.at[waiter] + calls.connection[waiter] + holds.to[h];
    earliest = Math.min(earliest, moment);
  }
  return earliest;
}
