// The page comes alive: controls, pointer, keys, and drawing when something has changed.

const data = loadData();
const scale = new Scale(data);
const canvas = document.getElementById("lanes");
const context = canvas.getContext("2d", { alpha: false });
const overview = document.getElementById("overview");
const tip = document.getElementById("tip");
const details = document.getElementById("details");
const state = { found: undefined, marked: undefined, hovered: undefined, frames: 0, drawMillis: 0, dense: false, errors: [] };
let theme = readTheme(context);
let pending = false;
let overviewPicture;

addEventListener("error", (event) => state.errors.push(event.message));

function redraw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => {
    pending = false;
    const begun = performance.now();
    const ratio = devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawLanes(context, theme, data, scale, state);
    drawOverview();
    state.frames += 1;
    state.drawMillis = performance.now() - begun;
  });
}

// Pixels for the lanes, so that the details below them are in sight too.
function stageRoom() {
  return Math.max(300, innerHeight - canvas.getBoundingClientRect().top - scrollY - 150);
}

function resize() {
  const ratio = devicePixelRatio || 1;
  scale.width = canvas.parentElement.clientWidth;
  LABELS = scale.width < 600 ? 84 : 150;
  scale.height = Math.min(stageRoom(), scale.contentHeight + AXIS);
  canvas.style.height = `${scale.height}px`;
  for (const [element, height] of [[canvas, scale.height], [overview, 46]]) {
    element.width = Math.round(scale.width * ratio);
    element.height = Math.round(height * ratio);
  }
  theme = readTheme(context);
  overviewPicture = undefined;
  scale.scrollTo(scale.scroll);
  redraw();
}

function drawOverview() {
  const ink = overview.getContext("2d");
  const ratio = devicePixelRatio || 1;
  ink.setTransform(ratio, 0, 0, ratio, 0, 0);
  overviewPicture ??= paintOverview(scale.plot);
  ink.fillStyle = theme.panel;
  ink.fillRect(0, 0, scale.width, 46);
  ink.drawImage(overviewPicture, LABELS, 0, scale.plot, 46);
  const x = (time) => LABELS + (time / data.end) * scale.plot;
  const [from, to] = [Math.max(LABELS, x(scale.from)), Math.min(scale.width, x(scale.to))];
  ink.fillStyle = theme.page;
  ink.globalAlpha = 0.6;
  ink.fillRect(LABELS, 0, from - LABELS, 46);
  ink.fillRect(to, 0, scale.width - to, 46);
  ink.globalAlpha = 1;
  ink.strokeStyle = theme.text;
  ink.lineWidth = 1.5;
  ink.strokeRect(from, 1, Math.max(3, to - from), 44);
  ink.fillStyle = theme.faint;
  ink.font = "12px system-ui, sans-serif";
  ink.textBaseline = "middle";
  const height = 46 / data.sides.length;
  for (const [side, { name }] of data.sides.entries()) {
    ink.fillText(shorten(ink, name || "all lanes, all time", LABELS - 10), 8, (side + 0.5) * height);
  }
}

function paintOverview(width) {
  const picture = document.createElement("canvas");
  const ratio = devicePixelRatio || 1;
  picture.width = Math.max(1, Math.round(width * ratio));
  picture.height = Math.round(46 * ratio);
  const ink = picture.getContext("2d");
  ink.scale(ratio, ratio);
  const columns = Math.max(1, Math.ceil(width / 2));
  const ofSide = (side) => ({ bars: data.bars.call.map((_, b) => b).filter((b) => sideOf(data, data.lanes[data.bars.lane[b]]) === side), requests: [] });
  const shares = data.sides.map((_, side) => sharesOf(data, ofSide(side), 0, data.end, columns));
  const most = Math.max(0.01, ...shares.map((one) => mostOf(one).flying));
  const height = 46 / shares.length;
  shares.forEach((one, side) => drawStacked(ink, theme, one, 0, width, (side + 1) * height - 1, height - 4, most));
  return picture;
}

function sortLanes(by = document.getElementById("order").value) {
  const sum = (lane, value) => lane.mates.reduce((sum, mate) => sum + value(mate), 0);
  const worth = { requests: (lane) => sum(lane, (mate) => mate.requests.length), lock: (lane) => sum(lane, (mate) => mate.lock) }[by];
  // Stable, so that a client's lanes stay together.
  scale.order = worth ? [...data.lanes].sort((a, b) => worth(b) - worth(a) || a.index - b.index) : data.lanes;
}

function setOrder(by) {
  sortLanes(by);
  scale.scrollTo(0);
  redraw();
}

function setHeight(height) {
  scale.laneHeight = height;
  resize();
}

const finder = { text: "", found: [], next: 0 };
function find(text, back = false) {
  const says = document.getElementById("found");
  const result = search(data, text);
  state.found = result?.client;
  if (!result) {
    says.textContent = "";
  } else if (result.lanes) {
    const requests = result.lanes.reduce((sum, lane) => sum + lane.requests.length, 0);
    scale.reveal(result.lanes[0]);
    says.textContent = `${result.lanes.length} ${result.lanes.length === 1 ? "lane" : "lanes"}, ${count(requests)} requests`;
  } else if (result.requests.length === 0) {
    says.textContent = result.wrong ? `write it as ${result.wrong}` : "nothing";
  } else {
    const length = result.requests.length;
    finder.next = finder.text === text ? (finder.next + (back ? length - 1 : 1)) % length : 0;
    goToRequest(result.requests[finder.next]);
    says.textContent = `${finder.next + 1} of ${count(result.requests.length)}${result.requests.length === 1000 ? " or more" : ""}`;
  }
  finder.text = text;
  redraw();
}

function hover(x, y) {
  const under = hit(data, scale, x, y);
  state.hovered = under;
  const gap = under && gapAt(data, under.lane, scale.time(x), 2 * scale.microsPerPixel);
  const description =
    under?.request !== undefined ? describeRequest(data, under.request)
    : under?.bar !== undefined ? describeBar(data, under.bar)
    : gap ? describeGap(data, under.lane, gap)
    : under && isDense(data, scale, visibleIn(data, scale, under.lane)) ? describeWindow(data, scale, under.lane, x)
    : undefined;
  tip.hidden = !description;
  if (description) {
    show(tip, description);
    const right = x + 24 + tip.offsetWidth > scale.width;
    tip.style.left = `${right ? Math.max(0, x - tip.offsetWidth - 14) : x + 16}px`;
    tip.style.top = `${Math.max(0, Math.min(y + 14, scale.height - tip.offsetHeight))}px`;
  }
  redraw();
}

function listenToPointer() {
  let drag;
  canvas.addEventListener("pointerdown", (event) => {
    const { offsetX: x, offsetY: y } = event;
    const begun = (event.shiftKey || y < AXIS) && x > LABELS ? scale.time(x) : undefined;
    drag = { x, y, moved: false, begun };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const { offsetX: x, offsetY: y } = event;
    if (!drag) return hover(x, y);
    if (!drag.moved && Math.hypot(x - drag.x, y - drag.y) < 4) return;
    drag.moved = true;
    canvas.classList.add("dragging");
    tip.hidden = true;
    if (drag.begun !== undefined) {
      state.stretch = [drag.begun, scale.time(x)].sort((a, b) => a - b);
      return redraw();
    }
    scale.pan((drag.x - x) * scale.microsPerPixel);
    scale.scrollTo(scale.scroll + drag.y - y);
    [drag.x, drag.y] = [x, y];
    redraw();
  });
  const release = (event) => {
    if (drag && !drag.moved) {
      choose(hit(data, scale, event.offsetX, event.offsetY));
    } else if (drag && drag.begun !== undefined) {
      showStretch(data, state.stretch);
    }
    drag = undefined;
    canvas.classList.remove("dragging");
    redraw();
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", () => { drag = undefined; });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; state.hovered = undefined; redraw(); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : 1;
    if (event.offsetX < LABELS) scale.scrollTo(scale.scroll + event.deltaY * unit);
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) scale.pan((event.deltaX || event.deltaY) * unit * scale.microsPerPixel);
    else scale.zoom(Math.exp(event.deltaY * unit * 0.0016), event.offsetX);
    hover(event.offsetX, event.offsetY);
  }, { passive: false });
  const seek = (event) => {
    if (event.buttons !== 1) return;
    const time = ((event.offsetX - LABELS) / scale.plot) * data.end;
    scale.show(time - scale.span / 2, time + scale.span / 2);
    redraw();
  };
  overview.addEventListener("pointerdown", (event) => { overview.setPointerCapture(event.pointerId); seek(event); });
  overview.addEventListener("pointermove", seek);
}

function listenToKeys() {
  const keys = {
    ArrowLeft: () => scale.pan(-scale.span * 0.15),
    ArrowRight: () => scale.pan(scale.span * 0.15),
    ArrowUp: () => scale.scrollTo(scale.scroll - scale.laneHeight),
    ArrowDown: () => scale.scrollTo(scale.scroll + scale.laneHeight),
    "+": () => scale.zoom(0.6),
    "=": () => scale.zoom(0.6),
    "-": () => scale.zoom(1 / 0.6),
    0: () => scale.fit(),
    Home: () => scale.fit(),
    l: nextWait,
    s: nextSlowest,
    ".": () => step(1),
    ",": () => step(-1),
    "/": () => document.getElementById("search").focus(),
    Escape: leave,
  };
  addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input[type=search], select, input[type=range]");
    if (typing && event.key === "Escape") event.target.blur();
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (typing || !act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
    redraw();
  });
}

function listenToControls() {
  const on = (id, event, act) => document.getElementById(id).addEventListener(event, act);
  on("in", "click", () => { scale.zoom(0.5); redraw(); });
  on("out", "click", () => { scale.zoom(2); redraw(); });
  on("fit", "click", () => { scale.fit(); redraw(); });
  on("longest", "click", nextWait);
  on("slowest", "click", nextSlowest);
  on("order", "change", (event) => setOrder(event.target.value));
  on("tall", "input", (event) => setHeight(Number(event.target.value)));
  on("search", "keydown", (event) => { if (event.key === "Enter") find(event.target.value, event.shiftKey); });
  on("search", "search", (event) => { if (event.target.value === "") find(""); });
  addEventListener("resize", resize);
  addEventListener("hashchange", follow);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", resize);
}

function showFacts() {
  const { calls, instanceSides } = data;
  const facts = data.sides.map(({ name }, side) => {
    const lanes = data.lanes.filter((lane) => sideOf(data, lane) === side);
    const requests = lanes.reduce((sum, lane) => sum + lane.requests.length, 0);
    const ofSide = calls.instance.reduce((sum, instance) => sum + (instanceSides[instance] === side), 0);
    return `${name && `${name}: `}${count(requests)} requests in ${count(ofSide)} database calls, ${count(lanes.length)} lanes, from ${clock(data, 0, side)}`;
  });
  document.getElementById("facts").textContent = `${facts.join("; ")}; ${duration(data.end)}`;
}

function fitLanes() {
  scale.laneHeight = Math.min(120, Math.max(48, Math.floor((stageRoom() - AXIS) / Math.max(1, data.lanes.length))));
  document.getElementById("tall").value = scale.laneHeight;
}

function begin() {
  showFacts();
  fitLanes();
  listenToPointer();
  listenToKeys();
  listenToControls();
  resize();
  follow();
  if (typeof data.live === "number") keepUp();
}

begin();

// For tests and for the curious.
globalThis.lanesPage = { data, scale, state, hit: (x, y) => hit(data, scale, x, y), search: (text) => search(data, text), holdsOf: (call) => holdsOf(data, call), pathOf: (r) => pathOf(data, r) };
