// Where the page is served (guiche traces --follow) it is kept up to date, and the view stays where it is.

function keepUp() {
  const says = document.getElementById("live");
  let events;
  const listen = () => {
    events?.close();
    if (document.hidden) return; // nothing is made for a page that nobody sees
    events = new EventSource(`events?after=${data.live}`);
    events.onopen = () => { says.textContent = "· live"; };
    events.onmessage = (event) => refresh(JSON.parse(event.data));
    events.onerror = () => {
      says.textContent = "· not connected: this is what was there last";
      if (events.readyState === EventSource.CLOSED) setTimeout(listen, 1000);
    };
  };
  document.addEventListener("visibilitychange", listen);
  listen();
}

// Takes over what is new. Who looks at all of it, or at its end, goes on to do so; others stay where they are.
function refresh({ data: json, title, notes, losses, table }) {
  const { sides, lanes } = data;
  const [whole, atEnd, span] = [scale.from <= 0 && scale.to >= data.end, scale.to >= data.end && !state.marked, scale.span];
  Object.assign(data, dataOf(json));
  const earlier = sides[0].start - data.sides[0].start;
  state.stretch = state.stretch?.map((time) => time + earlier);
  if (whole) scale.fit();
  else if (atEnd) scale.show(data.end * 1.01 - span, data.end * 1.01);
  else scale.show(scale.from + earlier, scale.to + earlier);
  for (const [id, html] of Object.entries({ notes, losses, table })) document.getElementById(id).innerHTML = html;
  document.querySelector("h1 span").textContent = title;
  document.title = `Lanes: ${title}`;
  showFacts();
  sortLanes();
  state.hovered = undefined;
  if (state.marked) {
    const { request, bar } = named();
    const lane = request !== undefined ? data.requests.lane[request] : bar !== undefined ? data.bars.lane[bar] : undefined;
    state.marked = lane === undefined ? undefined : { lane: data.lanes[lane], request, bar };
  }
  if (lanes.length !== data.lanes.length) fitLanes();
  resize();
}
