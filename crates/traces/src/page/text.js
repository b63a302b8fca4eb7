// Numbers and things in words.

function duration(micros) {
  if (micros === NONE) return "–";
  if (micros < 1000) return `${Math.round(micros)} µs`;
  if (micros < 1e4) return `${(micros / 1e3).toFixed(2)} ms`;
  if (micros < 1e5) return `${(micros / 1e3).toFixed(1)} ms`;
  if (micros < 1e6) return `${(micros / 1e3).toFixed(0)} ms`;
  return `${(micros / 1e6).toFixed(2)} s`;
}

function count(number) {
  return number.toLocaleString("en");
}

// 0.012, 0.34, 2.1 or 25.
function average(number) {
  return number < 10 ? String(Number(number.toPrecision(2))) : String(Math.round(number));
}

// A moment of one of the page's traces as UTC, with microseconds.
function clock(data, micros, side = 0) {
  const absolute = data.sides[side].start + Math.round(micros);
  const date = new Date(Math.floor(absolute / 1000));
  if (Number.isNaN(date.getTime())) return `${absolute} µs`;
  return `${date.toISOString().slice(0, -1).replace("T", " ")}${String(absolute % 1000).padStart(3, "0")} UTC`;
}

function laneName(data, lane) {
  const client = lane.client === null ? "no client" : `client ${lane.client}`;
  return `${client} on ${data.instances[lane.instance]}`;
}

// A title, rows of a name and a value, and the parts of its time. A value is a text, or several parts of which some lead
// to a call or a request.
function describeRequest(data, r) {
  const { requests, words, lanes } = data;
  const lane = lanes[requests.lane[r]];
  const status = requests.status[r] ? `${requests.status[r]} ` : "";
  const rows = [["outcome", `${status}${words[requests.outcome[r]]}`], ["took", duration(requests.took[r])]];
  const path = pathOf(data, r);
  for (const { name, from, to, says } of path) rows.push([name, [duration(to - from), ...(says.length ? [", ", ...says] : [])]]);
  const call = requests.call[r];
  if (call !== NONE) rows.push(["call", [callLink(data, call)]]);
  rows.push(["arrived", clock(data, requests.at[r], sideOf(data, lane))], ["id", [{ text: idOf(data, r), hash: requestHash(data, r) }]]);
  return { title: `${words[requests.kind[r]]}, ${laneName(data, lane)}`, rows, path };
}

function describeBar(data, b) {
  const { bars, calls, words, lanes } = data;
  const call = bars.call[b];
  const lane = lanes[bars.lane[b]];
  const share = [[bars.transactions[b], "transaction"], [bars.statements[b], "statement"]]
    .filter(([n]) => n > 0).map(([n, what]) => `${n} ${what}${n === 1 ? "" : "s"}`).join(" and ");
  const rows = [
    ["carries", `${share} here, ${count(calls.size[call])} requests of ${count(calls.clients[call])} clients in all`],
    ["cut", words[calls.cut[call]].replace("_", " ")],
    ["took", duration(calls.total[call])],
    ...callTimes(data, call),
    ["cut at", clock(data, calls.at[call], sideOf(data, lane))],
  ];
  const failure = words[calls.failure[call]];
  if (failure) rows.unshift(["failed", failure.replace("_", " ")]);
  const waitedFor = holdersOf(data, call);
  if (waitedFor.length) rows.push(["waited for", waitedFor]);
  const held = data.held.get(call) ?? [];
  if (held.length) {
    const waiters = held.map((h) => [data.holds.to[h] - data.holds.from[h], data.holds.call[h]]).sort((a, b) => b[0] - a[0]);
    const sum = waiters.reduce((sum, [micros]) => sum + micros, 0);
    const list = waiters.slice(0, CHAIN).flatMap(([, waiter]) => [", ", callLink(data, waiter)]);
    const more = waiters.length > CHAIN ? [`, and ${count(waiters.length - CHAIN)} more`] : [];
    rows.push(["held up", [`${duration(sum)} in ${count(waiters.length)} wait${waiters.length === 1 ? "" : "s"}: `, ...list.slice(1), ...more]]);
  }
  return { title: `${callName(data, call)}, ${laneName(data, lane)}`, rows };
}

// What `waited` says of a call.
const [NOT_KNOWN, HELD, FREE] = [1, 2, 3];

// Who held the rows that a call waited for, in words; empty where it waited for none.
function holdersOf(data, call) {
  const known = data.calls.waited[call];
  if (known === NOT_KNOWN) return ["it is not known whom"];
  if (known === FREE) return ["nobody: the row was free, and reaching it took so long"];
  if (known !== HELD) return [];
  const holds = holdsOf(data, call);
  const last = holds.slice(-CHAIN);
  const list = last.flatMap((hold) => [", then ", ...holdInWords(data, hold)]).slice(1);
  const first = holds.length > CHAIN ? [`${count(holds.length - CHAIN)} others, then `] : [];
  return [...first, ...list];
}

function holdInWords(data, hold) {
  const time = ` (${duration(hold.to - hold.from)})`;
  if (hold.call === undefined) return [`somebody else, transaction ${hold.other}${time}`];
  return [callLink(data, hold.call), time];
}

function callLink(data, call) {
  const instance = data.instances[data.calls.instance[call]];
  return { text: `${callName(data, call)} of ${instance}`, hash: `#call=${encodeURIComponent(instance)}/${data.calls.number[call]}` };
}

function requestHash(data, r) {
  return `#request=${encodeURIComponent(idOf(data, r))}`;
}

function callName(data, call) {
  return `call ${data.calls.number[call]}`;
}

function callTimes(data, call) {
  const { connection, lock, work, total } = data.calls;
  const rest = Math.max(0, total[call] - connection[call] - lock[call] - work[call]);
  return [
    ["connection", duration(connection[call])],
    ["row locks", duration(lock[call])],
    ["work", duration(work[call])],
    ["commit, way", duration(rest)],
  ];
}

// Fills an element with a description, as text only: what a trace holds is never markup.
function show(element, { title, rows, path }) {
  const make = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  const list = document.createElement("dl");
  for (const [name, value] of rows) {
    const detail = document.createElement("dd");
    for (const part of Array.isArray(value) ? value : [value]) {
      detail.append(part.hash ? Object.assign(make("a", part.text), { href: part.hash }) : part);
    }
    const pair = document.createElement("div");
    pair.append(make("dt", name), detail);
    list.append(pair);
  }
  element.replaceChildren(make("h2", title), ...(path?.length ? [pathBar(path)] : []), list);
}

// The parts of a request's time as one bar.
function pathBar(path) {
  const bar = document.createElement("div");
  bar.className = "path";
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", path.map(({ name, from, to }) => `${name} ${duration(to - from)}`).join(", "));
  for (const { kind, name, from, to } of path) {
    const part = document.createElement("span");
    part.className = kind;
    part.style.flexGrow = Math.max(0, to - from);
    part.title = `${name} ${duration(to - from)}`;
    bar.append(part);
  }
  return bar;
}
