// What part of the trace is seen: a window of time, and how far the lanes are scrolled.

// Pixels for the names of the lanes; fewer where there is little room.
let LABELS = 150;
const AXIS = 24;
const SHORTEST = 20;

class Scale {
  constructor(data) {
    this.data = data;
    this.order = data.lanes;
    this.width = 800;
    this.height = 400;
    this.laneHeight = 84;
    this.scroll = 0;
    this.fit();
  }

  // A margin of 1% keeps the first and the last in sight.
  fit() {
    const margin = this.data.end * 0.01;
    this.from = -margin;
    this.to = this.data.end + margin;
  }

  get span() { return this.to - this.from; }
  get plot() { return Math.max(1, this.width - LABELS); }
  get microsPerPixel() { return this.span / this.plot; }
  x(time) { return LABELS + (time - this.from) / this.microsPerPixel; }
  time(x) { return this.from + (x - LABELS) * this.microsPerPixel; }

  zoom(factor, x = LABELS + this.plot / 2) {
    const fixed = this.time(x);
    const widest = this.data.end * 1.02;
    const span = Math.min(Math.max(this.span * factor, SHORTEST), Math.max(widest, SHORTEST));
    const share = (fixed - this.from) / this.span;
    this.show(fixed - span * share, fixed - span * share + span);
  }

  pan(micros) { this.show(this.from + micros, this.to + micros); }

  // Some of the trace always stays in sight.
  show(from, to) {
    const span = to - from;
    const margin = Math.max(this.data.end * 0.01, span / 2);
    const start = Math.min(Math.max(from, -margin), this.data.end + margin - span);
    this.from = span > this.data.end ? from - (from + to - this.data.end) / 2 : start;
    this.to = this.from + span;
  }

  get contentHeight() { return this.order.length * this.laneHeight; }
  scrollTo(y) {
    const most = Math.max(0, this.contentHeight - (this.height - AXIS));
    this.scroll = Math.min(Math.max(0, y), most);
  }

  laneTop(position) { return AXIS + position * this.laneHeight - this.scroll; }
  laneAt(y) {
    if (y < AXIS) return undefined;
    return this.order[Math.floor((y - AXIS + this.scroll) / this.laneHeight)];
  }

  reveal(lane) {
    const position = this.order.indexOf(lane);
    const top = position * this.laneHeight;
    const room = this.height - AXIS - this.laneHeight;
    if (top < this.scroll || top > this.scroll + room) this.scrollTo(top - room / 2);
  }

  // Where a lane's requests and calls lie, from its top.
  geometry(lane) {
    const inner = this.laneHeight - 8;
    const region = lane.barRows <= 1 ? Math.min(20, inner * 0.34) : inner * 0.55;
    const bar = region / Math.max(1, lane.barRows);
    const band = inner - region - 3;
    const step = Math.min(9, band / Math.max(1, lane.rows));
    return { bandTop: 4, band, step, barsTop: 4 + band + 3, bar, region };
  }

  // The middle of a request's row and the top of a bar, from the lane's top.
  requestY(geometry, row) { return geometry.barsTop - 4 - (row + 0.5) * geometry.step; }
  barY(geometry, row) { return geometry.barsTop + row * geometry.bar; }
}
