// A stretch of time (Shift and drag, or a drag on the axis): what its requests' time was lost to, and to whom.

const WORST = 5;

function showStretch(data, [from, to], lanes = data.lanes, name = `A stretch of ${duration(to - from)}`) {
  const { requests, sides } = data;
  const wanted = new Set(lanes.map((lane) => lane.index));
  const list = [];
  for (let r = lowerBound(requests.at, from, (at) => at); r < requests.length && requests.at[r] < to; r++) {
    if (wanted.has(requests.lane[r])) list.push(r);
  }
  list.sort((a, b) => took(data, a) - took(data, b));
  const rows = [["from", sides.length > 1 ? `${duration(from)} since each start` : clock(data, from)], ["requests", count(list.length)], ...worstHolders(data, from, to, wanted)];
  show(details, { title: name, rows });
  if (!list.length) return;
  const bars = sides.flatMap(({ name }, side) => barsOf(data, list.filter((r) => sideOf(data, data.lanes[requests.lane[r]]) === side), name));
  const box = Object.assign(document.createElement("div"), { className: "losses" });
  for (const [name, r, path] of bars) {
    const label = r === undefined ? name : Object.assign(document.createElement("a"), { textContent: `${name}, ${duration(took(data, r))}`, href: requestHash(data, r) });
    const whole = path.reduce((sum, part) => sum + part.to - part.from, 0);
    const words = path.map((part) => `${part.name} ${Math.round((100 * (part.to - part.from)) / whole)} %`).join(", ");
    const cells = [label, path.length ? pathBar(path) : "", words].map((cell) => {
      const span = document.createElement("span");
      span.append(cell);
      return span;
    });
    box.append(...cells);
  }
  details.querySelector("h2").after(box);
}

// The bars of one trace's requests, ordered by how long they took: all, the p50 and the p99.
function barsOf(data, list, name) {
  if (!list.length) return [];
  const at = (share) => list[Math.ceil(share * list.length) - 1];
  const single = (what, share) => [`${name} ${what}`.trim(), at(share), pathOf(data, at(share))];
  return [[name || "all", undefined, partsOfAll(data, list)], single("p50", 0.5), single("p99", 0.99)];
}

// The parts of all requests' time, added up.
function partsOfAll(data, list) {
  const sums = new Map();
  for (const r of list) {
    for (const { kind, name, from, to } of pathOf(data, r)) {
      const sum = sums.get(kind) ?? { kind, name, from: 0, to: 0 };
      sum.to += to - from;
      sums.set(kind, sum);
    }
  }
  const kinds = ["arrival", "waiting", "connection", "lock", "work", "rest", "slice", "back"];
  return kinds.flatMap((kind) => sums.get(kind) ?? []);
}

// For whom the calls of the stretch waited longest, of those in lanes that are wanted.
function worstHolders(data, from, to, wanted) {
  const { calls, bars } = data;
  const sums = new Map();
  for (let c = lowerBound(calls.at, from, (at) => at); c < calls.length && calls.at[c] < to; c++) {
    const isWanted = bars.lane.subarray(calls.bar[c], calls.bar[c + 1]).some((lane) => wanted.has(lane));
    for (const hold of isWanted ? holdsOf(data, c) : []) {
      const key = hold.call ?? `transaction ${hold.other}`;
      const sum = sums.get(key) ?? { hold: { ...hold, from: 0, to: 0 }, waits: 0 };
      sum.hold.to += hold.to - hold.from;
      sum.waits += 1;
      sums.set(key, sum);
    }
  }
  const worst = [...sums.values()].sort((a, b) => b.hold.to - a.hold.to).slice(0, WORST);
  return worst.map(({ hold, waits }) => ["held others up", [...holdInWords(data, hold), ` in ${count(waits)} wait${waits === 1 ? "" : "s"}`]]);
}

function drawStretch(context, theme, scale, [from, to]) {
  context.fillStyle = theme.mark;
  context.globalAlpha = 0.35;
  context.fillRect(scale.x(from), 0, Math.max(1, scale.x(to) - scale.x(from)), scale.height);
  context.globalAlpha = 1;
}
