// Draws lanes: every request and call where there is room for them, shares of time where not.

const PARTS = ["connection", "lock", "work", "rest"];

// Colours from the style sheet, and the stripes that tell lock waits apart without colour.
function readTheme(context) {
  const style = getComputedStyle(document.documentElement);
  const names = ["page", "panel", "edge", "text", "faint", "grid", "waiting", "flying", "stem", "depth", "mark", ...PARTS];
  const theme = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const ink = tile.getContext("2d");
  ink.fillStyle = theme.lock;
  ink.fillRect(0, 0, 6, 6);
  ink.strokeStyle = theme.page;
  ink.globalAlpha = 0.55;
  ink.lineWidth = 1.6;
  for (const shift of [-6, 0, 6]) {
    ink.beginPath();
    ink.moveTo(shift - 1, 7);
    ink.lineTo(shift + 7, -1);
    ink.stroke();
  }
  theme.stripes = context.createPattern(tile, "repeat");
  ink.clearRect(0, 0, 6, 6);
  ink.globalAlpha = 0.7;
  ink.strokeStyle = theme.faint;
  ink.lineWidth = 1;
  ink.beginPath();
  ink.moveTo(0, 0);
  ink.lineTo(6, 6);
  ink.stroke();
  theme.missing = context.createPattern(tile, "repeat");
  return theme;
}

function drawLanes(context, theme, data, scale, state) {
  context.fillStyle = theme.page;
  context.fillRect(0, 0, scale.width, scale.height);
  drawGrid(context, theme, scale);
  const first = Math.floor(scale.scroll / scale.laneHeight);
  const last = Math.min(scale.order.length - 1, Math.floor((scale.scroll + scale.height - AXIS) / scale.laneHeight));
  context.save();
  context.beginPath();
  context.rect(LABELS, AXIS, scale.plot, scale.height - AXIS);
  context.clip();
  for (let position = first; position <= last; position++) drawBackground(context, theme, scale, state, position);
  const seen = [];
  for (let position = first; position <= last; position++) {
    const lane = scale.order[position];
    const visible = visibleIn(data, scale, lane);
    visible.dense = isDense(data, scale, visible);
    if (visible.dense) {
      visible.shares = sharesOf(data, visible, scale.from, scale.to, Math.ceil(scale.plot / 2));
      visible.most = mostOf(visible.shares);
    }
    seen.push([lane, visible]);
  }
  const ceiling = busiest(seen.flatMap(([, visible]) => visible.most ?? []));
  for (const [lane, visible] of seen) {
    if (visible.dense) drawShares(context, theme, scale, lane, visible, ceiling);
    else drawLane(context, theme, data, scale, state, lane, visible);
    drawChanges(context, theme, data, scale, lane);
  }
  drawReleases(context, theme, data, scale, state, seen);
  drawMarked(context, theme, data, scale, state);
  if (state.stretch) drawStretch(context, theme, scale, state.stretch);
  context.restore();
  for (let position = first; position <= last; position++) drawLabel(context, theme, data, scale, state, position);
  drawAxis(context, theme, scale);
  state.dense = seen.some(([, visible]) => visible.dense);
}

// The requests and bars of a lane that may reach into the window.
function visibleIn(data, scale, lane) {
  const { requests, calls, bars } = data;
  const requestAt = (r) => requests.at[r];
  const barAt = (b) => calls.at[bars.call[b]];
  const cut = (list, at, longest) =>
    list.subarray(lowerBound(list, scale.from - longest, at), lowerBound(list, scale.to, at));
  return {
    requests: cut(lane.requests, requestAt, lane.longestRequest),
    bars: cut(lane.bars, barAt, lane.longestBar),
  };
}

// Whether single things would be a blur: more bars than every fourth pixel, or more requests than pixels.
function isDense(data, scale, visible) {
  return visible.bars.length > scale.plot / 4 || visible.requests.length > scale.plot;
}

function drawBackground(context, theme, scale, state, position) {
  const lane = scale.order[position];
  const top = scale.laneTop(position);
  if (sideOf(scale.data, lane) > 0) {
    context.fillStyle = theme.panel;
    context.fillRect(LABELS, top, scale.plot, scale.laneHeight);
  }
  if (state.found === lane.client && state.found !== undefined) {
    context.fillStyle = theme.mark;
    context.globalAlpha = 0.28;
    context.fillRect(LABELS, top, scale.plot, scale.laneHeight);
    context.globalAlpha = 1;
  }
  drawGaps(context, theme, scale, lane, top);
  const between = lane.mates.indexOf(lane) === 0;
  context.fillStyle = between ? theme.edge : theme.grid;
  context.fillRect(LABELS, Math.round(top), scale.plot, between ? 2 : 1);
}

// Where lines are missing: nothing is known of what the lane did then.
function drawGaps(context, theme, scale, lane, top) {
  context.fillStyle = theme.missing;
  for (const gap of scale.data.gaps) {
    if (gap.instance !== lane.instance || gap.to < scale.from || gap.from > scale.to) continue;
    const x = scale.x(gap.from);
    context.fillRect(x, top, Math.max(2, scale.x(gap.to) - x), scale.laneHeight);
  }
}

function drawLane(context, theme, data, scale, state, lane, visible) {
  const geometry = scale.geometry(lane);
  const top = scale.laneTop(scale.order.indexOf(lane));
  drawRequests(context, theme, data, scale, visible.requests, geometry, top);
  drawStems(context, theme, data, scale, visible.bars, geometry, top);
  for (const b of visible.bars) drawBar(context, theme, data, scale, b, geometry, top);
}

// Requests as two sets of lines, waiting and in flight, and a mark at the answer.
function drawRequests(context, theme, data, scale, list, geometry, top) {
  const { requests, calls } = data;
  const waiting = new Path2D();
  const flying = new Path2D();
  const marks = [new Path2D(), new Path2D(), new Path2D()];
  const size = Math.min(2.6, Math.max(1.1, geometry.step * 0.36));
  for (const r of list) {
    const y = top + scale.requestY(geometry, requests.row[r]);
    const arrival = requests.at[r];
    const reply = arrival + took(data, r);
    const call = requests.call[r];
    const cut = call === NONE ? reply : Math.min(Math.max(calls.at[call], arrival), reply);
    const [x0, x1, x2] = [scale.x(arrival), scale.x(cut), scale.x(reply)];
    waiting.moveTo(x0, y);
    waiting.lineTo(Math.max(x1, x0 + 0.5), y);
    flying.moveTo(x1, y);
    flying.lineTo(x2, y);
    if (size > 1.2) addMark(marks, data, r, x2, y, size);
  }
  context.lineWidth = Math.max(0.7, Math.min(1.6, geometry.step * 0.4));
  context.strokeStyle = theme.flying;
  context.stroke(flying);
  context.strokeStyle = theme.waiting;
  context.stroke(waiting);
  context.fillStyle = theme.waiting;
  context.fill(marks[0]);
  context.fillStyle = theme.page;
  context.fill(marks[1]);
  context.lineWidth = 1;
  context.stroke(marks[1]);
  context.strokeStyle = theme.text;
  context.lineWidth = 1.5;
  context.stroke(marks[2]);
}

// Answered: a dot; refused (4xx): a ring; failed, shed or without a caller: a cross.
function addMark(marks, data, r, x, y, size) {
  const status = data.requests.status[r];
  if (status >= 200 && status < 500) {
    const path = marks[status < 300 ? 0 : 1];
    path.moveTo(x + size, y);
    path.arc(x, y, size, 0, 7);
  } else {
    marks[2].moveTo(x - size, y - size);
    marks[2].lineTo(x + size, y + size);
    marks[2].moveTo(x - size, y + size);
    marks[2].lineTo(x + size, y - size);
  }
}

// What joins a call's requests to its bar, at the moment of the cut.
function drawStems(context, theme, data, scale, list, geometry, top) {
  const { calls, bars } = data;
  context.strokeStyle = theme.stem;
  context.lineWidth = 1;
  context.globalAlpha = 0.75;
  context.beginPath();
  for (const b of list) {
    if (bars.top[b] < 0) continue;
    const x = scale.x(calls.at[bars.call[b]]);
    context.moveTo(x, top + scale.barY(geometry, bars.row[b]) + geometry.bar * 0.5);
    context.lineTo(x, top + scale.requestY(geometry, bars.top[b]) - Math.min(1, geometry.step / 2));
  }
  context.stroke();
  context.globalAlpha = 1;
}

function drawBar(context, theme, data, scale, b, geometry, top) {
  const y = top + scale.barY(geometry, data.bars.row[b]);
  const height = Math.max(1, geometry.bar - (geometry.bar > 4 ? 1 : 0));
  for (const [name, from, to] of partsOf(data, data.bars.call[b])) {
    const x0 = scale.x(from);
    const x1 = scale.x(to);
    if (x1 < LABELS || x0 > scale.width || x1 <= x0) continue;
    context.fillStyle = name === "lock" ? theme.stripes : theme[name];
    context.fillRect(x0, y, Math.max(x1 - x0, 0.6), height);
  }
  if (data.words[data.calls.failure[data.bars.call[b]]]) {
    context.strokeStyle = theme.text;
    context.lineWidth = 2;
    context.strokeRect(scale.x(data.calls.at[data.bars.call[b]]), y, Math.max(2, data.calls.total[data.bars.call[b]] / scale.microsPerPixel), height);
  }
}

// Arrows that may be drawn at once: of more, those alone that are pointed at or chosen.
const ARROWS = 24;

// From who held a row to whom it went: dashed, at the moment at which the next one had it.
function drawReleases(context, theme, data, scale, state, seen) {
  const { calls, bars } = data;
  const chosen = [state.marked, state.hovered].map((what) => what && barIn(data, what)).filter((b) => b !== undefined);
  const ours = chosen.flatMap((b) => [bars.call[b], ...(data.held.get(bars.call[b]) ?? []).map((h) => data.holds.call[h])]);
  const wide = (b) => calls.lock[bars.call[b]] / scale.microsPerPixel >= 8 && calls.waited[bars.call[b]] === HELD;
  const waits = seen.filter(([, visible]) => !visible.dense).flatMap(([lane, visible]) => Array.from(visible.bars.filter(wide), (b) => [lane, b]));
  const few = waits.length <= ARROWS;
  state.arrows = 0;
  context.strokeStyle = theme.lock;
  context.fillStyle = theme.lock;
  context.lineWidth = 1.5;
  for (const [lane, b] of waits) {
    const call = bars.call[b];
    if (!few && !ours.includes(call)) continue;
    const begun = calls.at[call] + calls.connection[call];
    for (const hold of holdsOf(data, call).slice(-CHAIN)) {
      const bar = hold.call === undefined ? undefined : barOf(data, hold.call, lane.client);
      if (bar === undefined || data.lanes[bars.lane[bar]].client !== lane.client) continue;
      drawRelease(context, data, scale, [bar, b], begun + hold.to);
      state.arrows += 1;
    }
  }
}

// Holders of one wait that are drawn, and told of: the last ones.
const CHAIN = 8;

function drawRelease(context, data, scale, [holder, waiter], moment) {
  const x = scale.x(moment);
  const [from, to] = [holder, waiter].map((b) => barMiddle(scale, data.lanes[data.bars.lane[b]], b, data));
  const end = scale.x(callEnd(data, data.bars.call[holder]));
  const side = Math.sign(from - to);
  context.setLineDash([4, 3]);
  context.beginPath();
  context.moveTo(Math.min(x, end), from);
  context.lineTo(x, from);
  context.lineTo(x, to + side * 9);
  context.stroke();
  context.setLineDash([]);
  const tip = to + side * 4;
  context.beginPath();
  context.moveTo(x, tip);
  context.lineTo(x - 4, tip + side * 7);
  context.lineTo(x + 4, tip + side * 7);
  context.fill();
}

function barMiddle(scale, lane, b, data) {
  const geometry = scale.geometry(lane);
  return scale.laneTop(scale.order.indexOf(lane)) + scale.barY(geometry, data.bars.row[b]) + geometry.bar / 2;
}

function drawChanges(context, theme, data, scale, lane) {
  const { changes, words } = data;
  const floor = scale.laneTop(scale.order.indexOf(lane)) + scale.laneHeight - 1;
  context.fillStyle = theme.text;
  for (const change of lane.changes) {
    const x = scale.x(changes.at[change]);
    if (x < LABELS - 5 || x > scale.width + 5) continue;
    const state = words[changes.state[change]];
    context.font = "10px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "bottom";
    context.fillText(state === "activated" ? "▲" : state === "passivated" ? "▽" : "✖", x, floor);
  }
}
