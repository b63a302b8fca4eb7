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

// The bar of another instance, of the same client, that a lock wait most likely waited for: the
// one that was out during the wait and came back nearest to its end. The traces do not say; the
// times do. `late` is how long after the lock was had the other call was back, in microseconds.
function holderOf(data, b) {
  const { calls, bars, lanes } = data;
  const call = bars.call[b];
  if (calls.lock[call] < 100) return undefined;
  const lane = lanes[bars.lane[b]];
  const start = calls.at[call] + calls.connection[call];
  const end = start + calls.lock[call];
  const startOf = (other) => calls.at[bars.call[other]];
  let best;
  for (const mate of lane.mates) {
    if (mate === lane) continue;
    const from = lowerBound(mate.bars, start - mate.longestBar, startOf);
    const to = lowerBound(mate.bars, end, startOf);
    for (const other of mate.bars.subarray(from, to)) {
      const back = callEnd(data, bars.call[other]);
      if (bars.transactions[other] === 0 || back < start) continue;
      const late = back - end;
      if (!best || Math.abs(late) < Math.abs(best.late)) best = { bar: other, late };
    }
  }
  return best;
}

// What a text names: a client's lanes, or the requests whose id contains it.
function search(data, text) {
  const wanted = text.trim().toLowerCase().replace(/^client\s+/, "");
  if (wanted === "") return undefined;
  if (/^\d+$/.test(wanted)) {
    const lane = data.lanes.find((lane) => lane.client === Number(wanted));
    if (lane) return { client: lane.client, lanes: lane.mates };
  }
  const found = [];
  data.lowerIds ??= data.ids.toLowerCase();
  let at = data.lowerIds.indexOf(wanted);
  while (at >= 0 && found.length < 1000) {
    const request = lineAt(data, at);
    found.push(request);
    at = data.lowerIds.indexOf(wanted, data.idStarts[request + 1]);
  }
  return { requests: found };
}

function lineAt(data, position) {
  let low = 0;
  let high = data.requests.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (data.idStarts[middle] <= position) low = middle;
    else high = middle;
  }
  return low;
}

function slowestRequest(data) {
  return best(data.requests.length, (r) => (data.requests.took[r] === NONE ? -1 : data.requests.took[r]));
}

// The bar whose call waited longest for row locks, where another instance can be seen to hold
// them if there is such a one.
function longestLock(data) {
  const lock = (b) => data.calls.lock[data.bars.call[b]];
  const seen = best(data.bars.length, (b) => (lock(b) >= 100 && holderOf(data, b) ? lock(b) : -1));
  return seen ?? best(data.bars.length, lock);
}

function best(length, value) {
  let found;
  let most = -1;
  for (let i = 0; i < length; i++) {
    const worth = value(i);
    if (worth > most) [found, most] = [i, worth];
  }
  return found;
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
      ["from", clock(data, from)],
      ["calls", count(visible.bars.length)],
      ["requests", count(visible.requests.length)],
      ["waiting", average(shares.waiting[0])],
      ["of the time", `${percent(shares.lock[0])} row locks, ${percent(shares.work[0])} work, ${percent(shares.rest[0])} commit and way`],
      ["", "Zoom in to see each."],
    ],
  };
}
