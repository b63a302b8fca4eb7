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

function drawShares(context, theme, data, scale, lane, visible) {
  const top = scale.laneTop(scale.order.indexOf(lane));
  const inner = scale.laneHeight - 8;
  const columns = Math.max(1, Math.ceil(scale.plot / 2));
  const shares = sharesOf(data, visible, scale.from, scale.to, columns);
  const floor = top + 4 + inner;
  const region = inner * 0.5;
  drawStacked(context, theme, shares, LABELS, scale.plot, floor, region, Math.max(1, lane.barRows));
  const base = floor - region - 3;
  const most = shares.waiting.reduce((most, depth) => Math.max(most, depth), 1);
  context.fillStyle = theme.depth;
  fillArea(context, LABELS, scale.plot, columns, () => base, (i) => base - (shares.waiting[i] / most) * (inner - region - 14));
  context.fillStyle = theme.faint;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "top";
  context.fillText(`up to ${most < 10 ? most.toFixed(1) : Math.round(most)} waiting`, LABELS + 6, top + 4);
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
