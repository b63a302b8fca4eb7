// Finding things: what is under the pointer, what waited for what, and what a text names.

// The request or bar at a point; undefined where there is none.
function hit(data, scale, x, y) {
  const lane = scale.laneAt(y);
  if (!lane || x < LABELS) return undefined;
  const visible = visibleIn(data, scale, lane);
  if (isDense(data, scale, visible)) return { lane };
  const geometry = scale.geometry(lane);
  const inside = y - scale.laneTop(scale.order.indexOf(lane));
  const slack = 3 * scale.microsPerPixel;
  const time = scale.time(x);
  if (inside >= geometry.barsTop - 2) {
    const row = Math.floor((inside - geometry.barsTop) / geometry.bar);
    const bars = lane.barRows <= 1 ? visible.bars : visible.bars.filter((b) => Math.abs(data.bars.row[b] - row) < 1);
    const bar = nearest(bars, time, slack, (b) => data.calls.at[data.bars.call[b]], (b) => callEnd(data, data.bars.call[b]));
    return { lane, bar };
  }
  const reach = Math.max(4, geometry.step) / geometry.step;
  const row = (geometry.barsTop - 4 - inside) / geometry.step - 0.5;
  const close = visible.requests.filter((r) => Math.abs(data.requests.row[r] - row) <= reach);
  let best;
  let distance = Infinity;
  for (const r of close) {
    const start = data.requests.at[r];
    if (time < start - slack || time > start + took(data, r) + slack) continue;
    const away = Math.abs(data.requests.row[r] - row);
    if (away < distance) [best, distance] = [r, away];
  }
  return { lane, request: best };
}

function nearest(list, time, slack, startOf, endOf) {
  let best;
  let distance = Infinity;
  for (const i of list) {
    const away = Math.max(startOf(i) - time, time - endOf(i), 0);
    if (away <= slack && away < distance) [best, distance] = [i, away];
  }
  return best;
}

// A call's bar in a client's lane; its first one where it carries nothing of the client.
function barOf(data, call, client) {
  const { calls, bars, lanes } = data;
  for (let b = calls.bar[call]; b < calls.bar[call + 1]; b++) if (lanes[bars.lane[b]].client === client) return b;
  return calls.bar[call] < calls.bar[call + 1] ? calls.bar[call] : undefined;
}

// What a text names: a client's lanes, or the requests that have all of what its words say.
function search(data, text) {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return undefined;
  const client = /^(?:client[\s:]*)?(-?\d+)$/.exec(wanted);
  const lane = client && data.lanes.find((lane) => lane.client === Number(client[1]));
  if (lane) return { client: lane.client, lanes: lane.mates };
  const tests = wanted.replace(/\b(client|call|instance|outcome|slower)[\s:]+(than\s+)?/g, "$1:").split(/\s+/).map((word) => testOf(data, word));
  const wrong = tests.find((test) => test.wrong);
  if (wrong) return { requests: [], wrong: wrong.wrong };
  const found = [];
  for (let r = 0; r < data.requests.length && found.length < 1000; r++) if (tests.every((test) => test.holds(r))) found.push(r);
  return { requests: found };
}

const UNITS = { "µs": 1, us: 1, ms: 1e3, s: 1e6 };

// A word of a search as what it asks of a request: `client:3`, `call:12`, `instance:api1`, `outcome:422`, `slower:5ms`,
// or a part of its id.
function testOf(data, word) {
  const { requests, calls, lanes, words } = data;
  const [, name, value] = /^(client|call|instance|outcome|slower):(.*)$/.exec(word) ?? [];
  const laneOf = (r) => lanes[requests.lane[r]];
  const instance = (r) => data.instances[laneOf(r).instance].toLowerCase();
  const slower = name === "slower" && /^([\d.]+)(µs|us|ms|s)$/.exec(value);
  if (name === "slower" && !slower) return { wrong: "slower:5ms" };
  const tests = {
    client: (r) => String(laneOf(r).client) === value,
    call: (r) => requests.call[r] !== NONE && String(calls.number[requests.call[r]]) === value,
    instance: (r) => instance(r).includes(value),
    outcome: (r) => String(requests.status[r]) === value || words[requests.outcome[r]].includes(value),
    slower: (r) => took(data, r) > Number(slower[1]) * UNITS[slower[2]],
  };
  data.lowerIds ??= data.ids.toLowerCase();
  const id = (r) => data.lowerIds.slice(data.idStarts[r], data.idStarts[r + 1] - 1).includes(word);
  return { holds: tests[name] ?? id };
}

// The slowest requests, the worst first; those of one call are one entry.
function slowestRequests(data) {
  const { requests } = data;
  const met = new Set();
  const worth = (r) => (requests.took[r] === NONE ? -1 : requests.took[r]);
  return worst(requests.length, worth).filter((r) => {
    const call = requests.call[r];
    if (call === NONE) return true;
    if (met.has(call)) return false;
    return met.add(call);
  });
}

// The bars whose calls waited longest for rows, the worst first, each call once.
function longestWaits(data) {
  const { calls, bars } = data;
  const list = worst(calls.length, (c) => (calls.bar[c] < calls.bar[c + 1] ? calls.lock[c] : -1));
  return list.map((c) => calls.bar[c]);
}

function worst(length, worth) {
  const list = [];
  for (let i = 0; i < length; i++) if (worth(i) > 0) list.push(i);
  return list.sort((a, b) => worth(b) - worth(a)).slice(0, 10_000);
}

// The gap of a lane at a moment.
function gapAt(data, lane, time, slack) {
  return data.gaps.find((gap) => gap.instance === lane.instance && gap.from - slack <= time && time <= gap.to + slack);
}

function describeGap(data, lane, gap) {
  const rows = [["missing", `${count(gap.lines)} lines: ${gap.why}`], ["until", clock(data, gap.to, sideOf(data, lane))], ["since", clock(data, gap.from, sideOf(data, lane))]];
  return { title: `A gap, ${laneName(data, lane)}`, rows };
}

// Counts of what a lane's window shows, for where single things cannot be seen.
function describeWindow(data, scale, lane, x) {
  const half = 3 * scale.microsPerPixel;
  const [from, to] = [scale.time(x) - half, scale.time(x) + half];
  const visible = visibleIn(data, { from, to }, lane);
  const shares = sharesOf(data, visible, from, to, 1);
  const percent = (share) => `${average(share * 100)}%`;
  return {
    title: laneName(data, lane),
    rows: [
      ["from", clock(data, from, sideOf(data, lane))],
      ["calls", count(visible.bars.length)],
      ["requests", count(visible.requests.length)],
      ["waiting", average(shares.waiting[0])],
      ["of the time", `${percent(shares.lock[0])} row locks, ${percent(shares.work[0])} work, ${percent(shares.rest[0])} commit and way`],
      ["", "Zoom in to see each."],
    ],
  };
}
