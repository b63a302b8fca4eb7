// Where single things would be a blur: shares of time, by part of a call.

// Shares of each column's time by part of a call, and above them how many requests waited.
function sharesOf(data, visible, from, to, columns) {
  const per = (to - from) / columns;
  const shares = Object.fromEntries([...PARTS, "waiting"].map((name) => [name, new Float32Array(columns)]));
  const add = (column, start, end) => {
    const a = Math.max((start - from) / per, 0);
    const b = Math.min((end - from) / per, columns);
    if (b <= a) return;
    const [first, last] = [Math.floor(a), Math.min(Math.floor(b), columns - 1)];
    if (first === last) { column[first] += b - a; return; }
    column[first] += first + 1 - a;
    for (let i = first + 1; i < last; i++) column[i] += 1;
    column[last] += b - last;
  };
  for (const b of visible.bars) for (const [name, start, end] of partsOf(data, data.bars.call[b])) add(shares[name], start, end);
  for (const r of visible.requests) {
    const call = data.requests.call[r];
    const at = data.requests.at[r];
    add(shares.waiting, at, call === NONE ? at + took(data, r) : data.calls.at[call]);
  }
  return shares;
}

// The most calls in flight and requests waiting at once, each on average over a column.
function mostOf(shares) {
  const most = { flying: 0, waiting: 0 };
  for (let i = 0; i < shares.waiting.length; i++) {
    most.flying = Math.max(most.flying, PARTS.reduce((sum, part) => sum + shares[part][i], 0));
    most.waiting = Math.max(most.waiting, shares.waiting[i]);
  }
  return most;
}

// What all lanes in sight are drawn against, so that they can be compared: however little one was in
// use, what there was is seen.
function busiest(lanes) {
  const most = (what) => Math.max(1e-9, ...lanes.map((lane) => lane[what]));
  return { flying: most("flying"), waiting: most("waiting") };
}

function drawShares(context, theme, scale, lane, { shares, most }, ceiling) {
  const top = scale.laneTop(scale.order.indexOf(lane));
  const columns = shares.waiting.length;
  const inner = scale.laneHeight - 8;
  const floor = top + 4 + inner;
  const region = inner * 0.5;
  drawStacked(context, theme, shares, LABELS, scale.plot, floor, region, ceiling.flying);
  const base = floor - region - 3;
  const depth = (i) => base - (shares.waiting[i] / ceiling.waiting) * (inner - region - 14);
  context.fillStyle = theme.depth;
  fillArea(context, LABELS, scale.plot, columns, () => base, depth);
  context.fillStyle = theme.faint;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "top";
  context.fillText(`up to ${average(most.waiting)} waiting, ${average(most.flying)} in flight`, LABELS + 6, top + 4);
}

function drawStacked(context, theme, shares, left, width, floor, height, full) {
  const columns = shares.rest.length;
  const below = new Float32Array(columns);
  for (const name of ["lock", "work", "rest", "connection"]) {
    const above = below.map((height, i) => height + shares[name][i]);
    context.fillStyle = name === "lock" ? theme.stripes : theme[name];
    const y = (levels) => (i) => floor - Math.min(1, levels[i] / full) * height;
    fillArea(context, left, width, columns, y(below.slice()), y(above));
    below.set(above);
  }
}

function fillArea(context, left, width, columns, low, high) {
  const per = width / columns;
  context.beginPath();
  context.moveTo(left, low(0));
  for (let i = 0; i < columns; i++) {
    context.lineTo(left + i * per, high(i));
    context.lineTo(left + (i + 1) * per, high(i));
  }
  for (let i = columns - 1; i >= 0; i--) {
    context.lineTo(left + (i + 1) * per, low(i));
    context.lineTo(left + i * per, low(i));
  }
  context.fill();
}
