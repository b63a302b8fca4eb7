// The page's data: columns of numbers as typed arrays, and an index of them by lane.

const NONE = 0xffffffff;
const TYPES = { f64: Float64Array, u32: Uint32Array, u16: Uint16Array, u8: Uint8Array };

function decode(columns) {
  const table = { length: columns.length };
  for (const [name, type, text] of columns.columns) {
    const raw = atob(text);
    const bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    table[name] = new TYPES[type](bytes.buffer);
  }
  return table;
}

function loadData() {
  const element = document.getElementById("data");
  const json = JSON.parse(element.textContent);
  element.remove();
  return dataOf(json);
}

function dataOf(json) {
  const data = {
    live: json.live,
    words: json.words,
    sides: json.sides.map(([name, start]) => ({ name, start })),
    instances: json.instances.map(([name]) => name),
    instanceSides: json.instances.map(([, side]) => side),
    requests: decode(json.requests),
    calls: decode(json.calls),
    bars: decode(json.bars),
    holds: decode(json.holds),
    changes: decode(json.changes),
    gaps: json.gaps.map(([instance, from, to, lines, why]) => ({ instance, from, to: Math.max(from, to), lines, why })),
    ids: json.ids,
  };
  data.lanes = json.lanes.map(([client, instance], index) => ({ index, client, instance, mates: [] }));
  indexLanes(data);
  indexIds(data);
  indexHolds(data);
  data.end = endOf(data);
  return data;
}

// Of which of two traces a lane is.
function sideOf(data, lane) {
  return data.instanceSides[lane.instance];
}

// The positions of a table's rows, by lane, in the table's order.
function byLane(count, lanes) {
  const sizes = new Uint32Array(count + 1);
  for (const lane of lanes) sizes[lane + 1]++;
  for (let i = 0; i < count; i++) sizes[i + 1] += sizes[i];
  const order = new Uint32Array(lanes.length);
  const next = sizes.slice();
  for (let i = 0; i < lanes.length; i++) order[next[lanes[i]]++] = i;
  return Array.from({ length: count }, (_, lane) => order.subarray(sizes[lane], sizes[lane + 1]));
}

// Times are rounded and clocks are slewed: what overlaps by less does not overlap, in microseconds.
const ROUNDING = 20;

// Puts intervals, in order of their starts, into rows in which none overlaps another.
function stack(list, startOf, endOf, rows) {
  const ends = [];
  const limit = 256;
  for (const i of list) {
    const start = startOf(i);
    let row = 0;
    while (row < ends.length && ends[row] > start + ROUNDING) row++;
    if (row >= limit) row = i % limit;
    ends[row] = Math.max(ends[row] ?? 0, endOf(i));
    rows[i] = row;
  }
  return ends.length;
}

function indexLanes(data) {
  const { requests, calls, bars, changes, lanes } = data;
  const ofRequests = byLane(lanes.length, requests.lane);
  const ofBars = byLane(lanes.length, bars.lane);
  const ofChanges = byLane(lanes.length, changes.lane);
  requests.row = new Uint16Array(requests.length);
  bars.row = new Uint16Array(bars.length);
  bars.top = new Int32Array(bars.length).fill(-1);
  const mates = new Map();
  for (const lane of lanes) {
    lane.requests = ofRequests[lane.index];
    lane.bars = ofBars[lane.index];
    lane.changes = ofChanges[lane.index];
    lane.rows = stack(lane.requests, (r) => requests.at[r], (r) => requests.at[r] + took(data, r), requests.row);
    lane.barRows = stack(lane.bars, (b) => calls.at[bars.call[b]], (b) => callEnd(data, bars.call[b]), bars.row);
    lane.longestRequest = longest(lane.requests, (r) => took(data, r));
    lane.longestBar = longest(lane.bars, (b) => calls.total[bars.call[b]]);
    lane.lock = lane.bars.reduce((sum, b) => sum + calls.lock[bars.call[b]], 0);
    if (!mates.has(lane.client)) mates.set(lane.client, []);
    mates.get(lane.client).push(lane);
  }
  for (const lane of lanes) lane.mates = mates.get(lane.client);
  indexCalls(data);
}

// Where a call's bars are, and how high the requests reach that hang on each.
function indexCalls(data) {
  const { requests, calls, bars, lanes } = data;
  calls.bar = new Uint32Array(calls.length + 1);
  for (let b = 0; b < bars.length; b++) calls.bar[bars.call[b] + 1]++;
  for (let c = 0; c < calls.length; c++) calls.bar[c + 1] += calls.bar[c];
  requests.bar = new Uint32Array(requests.length).fill(NONE);
  for (let r = 0; r < requests.length; r++) {
    const call = requests.call[r];
    if (call === NONE) continue;
    for (let b = calls.bar[call]; b < calls.bar[call + 1]; b++) {
      if (bars.lane[b] !== requests.lane[r]) continue;
      requests.bar[r] = b;
      bars.top[b] = Math.max(bars.top[b], requests.row[r]);
    }
  }
}

function longest(list, duration) {
  let most = 0;
  for (const i of list) most = Math.max(most, duration(i));
  return most;
}

function took(data, request) {
  const known = data.requests.took[request];
  return known === NONE ? 0 : known;
}

function callEnd(data, call) {
  return data.calls.at[call] + data.calls.total[call];
}

// The holds of each call's wait, which lie together, and those in which each call was the holder.
function indexHolds(data) {
  const { calls, holds } = data;
  calls.hold = new Uint32Array(calls.length + 1);
  for (const call of holds.call) calls.hold[call + 1]++;
  for (let c = 0; c < calls.length; c++) calls.hold[c + 1] += calls.hold[c];
  data.held = new Map();
  for (let h = 0; h < holds.length; h++) {
    if (holds.holder[h] === NONE) continue;
    if (!data.held.has(holds.holder[h])) data.held.set(holds.holder[h], []);
    data.held.get(holds.holder[h]).push(h);
  }
}

// Who held the rows that a call waited for, one behind the other, in microseconds since its wait began.
function holdsOf(data, call) {
  const list = [];
  for (let h = data.calls.hold[call]; h < data.calls.hold[call + 1]; h++) {
    const { holder, other, from, to } = data.holds;
    list.push({ call: holder[h] === NONE ? undefined : holder[h], other: other[h], from: from[h], to: to[h] });
  }
  return list;
}

function endOf(data) {
  let end = 1;
  for (let r = 0; r < data.requests.length; r++) end = Math.max(end, data.requests.at[r] + took(data, r));
  for (let c = 0; c < data.calls.length; c++) end = Math.max(end, callEnd(data, c));
  return end;
}

function indexIds(data) {
  const starts = new Uint32Array(data.requests.length + 1);
  let from = 0;
  for (let r = 0; r < data.requests.length; r++) {
    starts[r] = from;
    from = data.ids.indexOf("\n", from) + 1;
  }
  starts[data.requests.length] = data.ids.length;
  data.idStarts = starts;
}

// The first request with an id; undefined where there is none.
function indexOfId(data, id) {
  for (let r = 0; r < data.requests.length; r++) if (data.ids.startsWith(`${id}\n`, data.idStarts[r])) return r;
  return undefined;
}

function idOf(data, request) {
  return data.ids.slice(data.idStarts[request], data.idStarts[request + 1] - 1);
}

// The first position in a list, ordered by `value`, whose value is at least `least`.
function lowerBound(list, least, value) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value(list[middle]) < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The parts of a call as [name, start, end]; they follow each other without a gap.
function partsOf(data, call) {
  const { at, connection, lock, work, total } = data.calls;
  const end = at[call] + total[call];
  const a = Math.min(at[call] + connection[call], end);
  const b = Math.min(a + lock[call], end);
  const c = Math.min(b + work[call], end);
  return [["connection", at[call], a], ["lock", a, b], ["work", b, c], ["rest", c, end]];
}
