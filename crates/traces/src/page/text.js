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

// A moment of the page as UTC, with microseconds.
function clock(data, micros) {
  const absolute = data.start + Math.round(micros);
  const date = new Date(Math.floor(absolute / 1000));
  if (Number.isNaN(date.getTime())) return `${absolute} µs`;
  return `${date.toISOString().slice(0, -1).replace("T", " ")}${String(absolute % 1000).padStart(3, "0")} UTC`;
}

function laneName(data, lane) {
  const client = lane.client === null ? "no client" : `client ${lane.client}`;
  return `${client} on ${data.instances[lane.instance]}`;
}

// A title, and rows of a name and a value.
function describeRequest(data, r) {
  const { requests, words, lanes, calls } = data;
  const lane = lanes[requests.lane[r]];
  const status = requests.status[r] ? `${requests.status[r]} ` : "";
  const rows = [
    ["outcome", `${status}${words[requests.outcome[r]]}`],
    ["took", duration(requests.took[r])],
    ["in the mailbox", duration(requests.queued[r])],
  ];
  const call = requests.call[r];
  if (call !== NONE) rows.push(...callTimes(data, call), ["call", callName(data, call)]);
  rows.push(["arrived", clock(data, requests.at[r])], ["id", idOf(data, r)]);
  return { title: `${words[requests.kind[r]]}, ${laneName(data, lane)}`, rows };
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
    ["cut at", clock(data, calls.at[call])],
  ];
  const failure = words[calls.failure[call]];
  if (failure) rows.unshift(["failed", failure.replace("_", " ")]);
  const holder = holderOf(data, b);
  if (holder) {
    const other = `${callName(data, bars.call[holder.bar])} of ${data.instances[lanes[bars.lane[holder.bar]].instance]}`;
    rows.push(["waited for", `${other}, by their times: it was out until ${duration(Math.abs(holder.late))} ${holder.late < 0 ? "before" : "after"} the lock was had`]);
  }
  return { title: `${callName(data, call)}, ${laneName(data, lane)}`, rows };
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
function show(element, { title, rows }) {
  const heading = document.createElement("h2");
  heading.textContent = title;
  const list = document.createElement("dl");
  for (const [name, value] of rows) {
    const pair = document.createElement("div");
    const term = document.createElement("dt");
    const detail = document.createElement("dd");
    term.textContent = name;
    detail.textContent = value;
    pair.append(term, detail);
    list.append(pair);
  }
  element.replaceChildren(heading, list);
}
