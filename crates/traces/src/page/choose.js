// What is chosen: by a click, a key, a search, a link, or the page's address.

// Shows a request in the middle, three times as long as it took.
function goToRequest(r) {
  if (r === undefined) return;
  const length = Math.max(took(data, r), 50);
  mark({ lane: data.lanes[data.requests.lane[r]], request: r }, data.requests.at[r] - length, data.requests.at[r] + 2 * length);
}

function goToBar(b) {
  if (b === undefined) return;
  const call = data.bars.call[b];
  const length = Math.max(data.calls.total[call], 50);
  mark({ lane: data.lanes[data.bars.lane[b]], bar: b }, data.calls.at[call] - 1.2 * length, data.calls.at[call] + 2.2 * length);
}

function mark(what, from, to) {
  scale.show(from, to);
  scale.reveal(what.lane);
  choose(what);
}

// Keeps the details of what was chosen, and its name in the address: that survives a reload, and can be sent to others.
function choose(what) {
  state.marked = what;
  state.stretch = undefined;
  showDetails(what);
  const hash = what?.request !== undefined ? requestHash(data, what.request) : what?.bar !== undefined ? callLink(data, data.bars.call[what.bar]).hash : "";
  history.replaceState(null, "", hash || location.pathname + location.search);
  redraw();
}

// What the address names, as [request] or [, call]; with `missing`, where there is no such thing.
function named() {
  const [, kind, name] = /^#(request|call)=(.*)$/.exec(location.hash) ?? [];
  if (!kind) return {};
  let wanted;
  try { wanted = decodeURIComponent(name); } catch { return {}; }
  const slash = wanted.lastIndexOf("/");
  const instance = data.instances.indexOf(wanted.slice(0, slash));
  const found = kind === "request" ? indexOfId(data, wanted)
    : data.calls.number.findIndex((number, c) => number === Number(wanted.slice(slash + 1)) && data.calls.instance[c] === instance);
  if (found === undefined || found < 0) return { missing: `there is no ${kind} ${wanted}` };
  return kind === "request" ? { request: found } : { bar: barOf(data, found, state.marked?.lane.client) };
}

// What the time of all, of an instance or of a client was lost to: their lanes, where the address names them.
function lostOf() {
  const [, name] = /^#lost=(.*)$/.exec(location.hash) ?? [];
  if (!name) return {};
  let wanted;
  try { wanted = decodeURIComponent(name); } catch { return {}; }
  const names = (lane) => ["all", `client ${lane.client}`].map((what) => `${data.sides[sideOf(data, lane)].name} ${what}`.trim());
  const lanes = data.lanes.filter((lane) => data.instances[lane.instance] === wanted || names(lane).includes(wanted));
  return lanes.length ? { wanted, lanes } : {};
}

// Goes to what the address names.
function follow() {
  const { wanted, lanes } = lostOf();
  if (lanes) {
    showStretch(data, [0, data.end], lanes, wanted);
    details.scrollIntoView({ block: "nearest" });
  }
  const { request, bar, missing } = named();
  if (missing) document.getElementById("found").textContent = missing;
  goToRequest(request);
  goToBar(bar);
}

function showDetails(what) {
  if (what?.request !== undefined) show(details, describeRequest(data, what.request));
  else if (what?.bar !== undefined) show(details, describeBar(data, what.bar));
}

// Goes to the worst of a list, and when asked again to the next.
function walker(make, go) {
  let list;
  let version;
  let next = 0;
  return () => {
    if (version !== data.live) list = undefined;
    version = data.live;
    list ??= make();
    if (list.length) go(list[next++ % list.length]);
  };
}

const nextSlowest = walker(() => slowestRequests(data), goToRequest);
const nextWait = walker(() => longestWaits(data), goToBar);

// Goes from the chosen request to its lane's next one, or the one before; from a call to a request of it.
function step(by) {
  const marked = state.marked ?? { lane: scale.order[0] };
  const list = marked.lane?.requests ?? [];
  if (!list.length) return;
  let place = list.indexOf(marked.request);
  if (place < 0 && marked.bar !== undefined) place = list.findIndex((r) => data.requests.bar[r] === marked.bar) - by;
  if (place < 0) place = by > 0 ? -1 : list.length;
  goToRequest(list[Math.min(Math.max(place + by, 0), list.length - 1)]);
}

function leave() {
  state.found = undefined;
  tip.hidden = true;
  details.replaceChildren(Object.assign(document.createElement("p"), { textContent: "Point at a request or a call." }));
  choose(undefined);
}
