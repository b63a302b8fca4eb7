// What is around the lanes: names, axis, and what is marked in them.

// What was clicked or found stands out, and so does what the pointer is on.
function drawMarked(context, theme, data, scale, state) {
  for (const [what, width] of [[state.hovered, 2], [state.marked, 3]]) {
    if (!what) continue;
    const position = scale.order.indexOf(what.lane);
    const geometry = scale.geometry(what.lane);
    const top = scale.laneTop(position);
    context.strokeStyle = theme.text;
    context.lineWidth = width;
    if (what.request !== undefined) {
      const y = top + scale.requestY(geometry, data.requests.row[what.request]);
      const at = data.requests.at[what.request];
      context.beginPath();
      context.moveTo(scale.x(at), y);
      context.lineTo(Math.max(scale.x(at + took(data, what.request)), scale.x(at) + 3), y);
      context.stroke();
    }
    const bar = barIn(data, what);
    if (bar === undefined) continue;
    const call = data.bars.call[bar];
    const x = scale.x(data.calls.at[call]);
    const y = top + scale.barY(geometry, data.bars.row[bar]);
    context.lineWidth = width - 0.5;
    context.strokeRect(x, y, Math.max(2, scale.x(callEnd(data, call)) - x), geometry.bar - 1);
  }
}

// The bar of what is pointed at, or that of its call.
function barIn(data, what) {
  const bar = what.bar ?? (what.request === undefined ? NONE : data.requests.bar[what.request]);
  return bar === NONE ? undefined : bar;
}

function drawLabel(context, theme, data, scale, state, position) {
  const lane = scale.order[position];
  const top = scale.laneTop(position);
  const first = lane.mates.indexOf(lane) === 0;
  context.save();
  context.beginPath();
  context.rect(0, AXIS, LABELS, scale.height - AXIS);
  context.clip();
  context.fillStyle = state.found === lane.client && state.found !== undefined ? theme.mark : theme.panel;
  context.fillRect(0, top, LABELS - 1, scale.laneHeight + 1);
  context.fillStyle = first ? theme.edge : theme.grid;
  context.fillRect(0, Math.round(top), LABELS, first ? 2 : 1);
  context.textAlign = "left";
  context.textBaseline = "top";
  context.fillStyle = theme.text;
  context.font = "600 13px system-ui, sans-serif";
  if (first || position === 0 || top <= AXIS) context.fillText(lane.client === null ? "no client" : `client ${lane.client}`, 8, top + 7);
  const { name } = data.sides[sideOf(data, lane)];
  const instance = data.instances[lane.instance].slice(name && name.length + 1);
  const lines = [...(name ? [name] : []), instance, `${count(lane.requests.length)} requests`];
  const [begin, step] = !name ? [24, 16] : first ? [21, 14] : [7, 14];
  for (const [i, line] of lines.entries()) {
    const y = begin + step * i;
    if (i > 0 && y + 14 > scale.laneHeight) break;
    context.font = `${name && i === 0 ? "600 " : ""}12px system-ui, sans-serif`;
    context.fillStyle = line === instance || i === 0 ? theme.text : theme.faint;
    context.fillText(shorten(context, line, LABELS - 18), 8, top + y);
  }
  context.restore();
}

function shorten(context, text, width) {
  let short = text;
  while (short.length > 1 && context.measureText(short).width > width) short = short.slice(0, -1);
  return short === text ? text : `${short.slice(0, -1)}…`;
}

function ticks(scale) {
  const rough = (scale.span / scale.plot) * 110;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
  const list = [];
  for (let time = Math.ceil(scale.from / step) * step; time <= scale.to; time += step) list.push(time);
  return { step, list };
}

function drawGrid(context, theme, scale) {
  context.fillStyle = theme.grid;
  for (const time of ticks(scale).list) context.fillRect(Math.round(scale.x(time)), AXIS, 1, scale.height);
}

function drawAxis(context, theme, scale) {
  context.fillStyle = theme.panel;
  context.fillRect(0, 0, scale.width, AXIS);
  context.fillStyle = theme.faint;
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.textAlign = "left";
  context.fillText(shorten(context, scale.data.sides.length > 1 ? "since each start" : "since the start", LABELS - 10), 8, AXIS / 2);
  context.textAlign = "center";
  const { step, list } = ticks(scale);
  for (const time of list) {
    const x = scale.x(time);
    if (x > LABELS + 30 && x < scale.width - 30) context.fillText(tickText(time, step), x, AXIS / 2);
  }
  context.fillStyle = theme.edge;
  context.fillRect(0, AXIS - 1, scale.width, 1);
}

function tickText(time, step) {
  const digits = (unit) => Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9));
  if (step >= 1e4) return `${(time / 1e6).toFixed(digits(1e6))} s`;
  return `${(time / 1e3).toFixed(digits(1e3))} ms`;
}
