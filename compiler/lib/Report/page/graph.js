// The graph: kernels from top to bottom in the order in which they run, heights to scale, streams between them at the right.

const GRAPH = {
  left: 124,
  box: 276,
  lane: 34,
  least: 46,
  gap: 30,
  tall: 900
};

/** What a box is as high as. */
const SCALES = {
  'time': (kernel, load, machine) => kernel.loads[load].machines[machine]?.seconds ?? 0,
  'bytes': (kernel, load) => kernel.loads[load].bytes,
  'operations': (kernel, load) => kernel.loads[load].operations,
};

/** Pixels for one unit, the same in every graph that stands beside another. */
function pixelsPerUnit(views, state) {
  const sums =
      views.map(view => view.kernels.reduce((sum, kernel) => sum + SCALES[state.scale](kernel, state.load, state.machine), 0));
  return GRAPH.tall / Math.max(...sums, 1e-30);
}

/** Streams between two kernels as one: their bytes together, every name once. */
function bundled(edges) {
  const bundles = new Map();
  for (const edge of edges) {
    if (edge.kind === 'state') continue;
    const key = `${edge.from}>${edge.to}>${edge.kind}`;
    const bundle = bundles.get(key) ?? {...edge, bytes: 0, values: []};
    bundle.bytes += edge.bytes;
    bundle.values.push(`${edge.value}: ${bytesText(edge.bytes)} per token`);
    bundles.set(key, bundle);
  }
  return [...bundles.values()];
}

/** Places for arcs that share rows: the narrowest lane that is free from top to bottom. */
function assignLanes(edges) {
  const lanes = [];
  for (const edge of edges.toSorted((a, b) => Math.abs(a.to - a.from) - Math.abs(b.to - b.from))) {
    const [top, bottom] = [Math.min(edge.from, edge.to), Math.max(edge.from, edge.to)];
    let lane = lanes.findIndex(used => used.every(([from, to]) => bottom <= from || top >= to));
    if (lane < 0) lane = lanes.push([]) - 1;
    lanes[lane].push([top, bottom]);
    edge.lane = lane;
  }
}

function drawBox(kernel, place, state, select) {
  const load = kernel.loads[state.load], estimate = load.machines[state.machine];
  const group = make(
      'g', {
        class: `box${place.short ? ' short' : ''}${state.kernel === kernel.name ? ' chosen' : ''}`,
        tabindex: 0,
        role: 'button',
        'data-kernel': kernel.name,
        style: `--bound: var(--${estimate?.bound ?? 'launch'})`,
        onclick: () => select(kernel.name),
        onkeydown: event => event.key === 'Enter' && select(kernel.name)
      },
      make('rect', {class: 'body', x: GRAPH.left, y: place.y, width: GRAPH.box, height: place.height, rx: 9}),
      make('text', {x: GRAPH.left + 14, y: place.y + 20, 'font-size': 13.5, 'font-weight': 600}, kernel.name));
  if (estimate)
    group.append(make(
        'text', {x: GRAPH.left + GRAPH.box - 12, y: place.y + 20, 'font-size': 12, 'text-anchor': 'end'},
        timeText(estimate.seconds) + (kernel.times > 1 ? ` × ${kernel.times}` : '')));
  const words = kernel.operations.join(' · '), most = 44;
  group.append(make(
      'text', {class: 'soft', x: GRAPH.left + 14, y: place.y + 37, 'font-size': 11},
      words.length > most ? words.slice(0, most - 1) + '…' : words));
  const more = [`${countText(load.operations)} operations · ${bytesText(load.bytes)}`];
  if (kernel.stateBytes) more.push(`state ${bytesText(kernel.stateBytes)} a sequence`);
  more.filter((_, line) => place.height >= 64 + 16 * line)
      .forEach(
          (line, index) => group.append(
              make('text', {class: 'soft', x: GRAPH.left + 14, y: place.y + 53 + 16 * index, 'font-size': 11}, line)));
  group.append(make('title', {}, [kernel.operations.join(', '), ...more].join('\n')));
  return group;
}

/** A bar at the left, as long as the weights that a launch streams through. */
function drawWeights(kernel, place, most) {
  if (!kernel.weightBytes) return null;
  const width = Math.max(2, 70 * kernel.weightBytes / most), y = place.y + Math.min(place.height / 2, 26);
  return make(
      'g', {}, make('rect', {class: 'weights', x: GRAPH.left - 8 - width, y: y - 4, width, height: 8, rx: 2}),
      make(
          'text', {class: 'soft', x: GRAPH.left - 10, y: y + 17, 'font-size': 10.5, 'text-anchor': 'end'},
          bytesText(kernel.weightBytes)));
}

/** The way of an arrow, and where its label stands: straight down, or around in a lane of its own. */
function wayOf(edge, places) {
  const right = GRAPH.left + GRAPH.box, inset = index => Math.min(12, places[index].height / 3);
  const from = edge.from < 0 ? places[edge.to].y - GRAPH.gap + 4 : places[edge.from].y + places[edge.from].height;
  const to = edge.to < 0 ? from + GRAPH.gap - 4 : places[edge.to].y;
  if (edge.lane === undefined) {
    const x = GRAPH.left + GRAPH.box / 2;
    return {path: `M${x},${from} V${to - 5}`, label: {x: x + 10, y: (from + to) / 2 + 3}};
  }
  const start = from - inset(edge.from), end = to + inset(edge.to), turn = 18 * Math.sign(end - start);
  const x = right + 26 + edge.lane * GRAPH.lane;
  const down = `C${x},${start} ${x},${start} ${x},${start + turn} V${end - turn}`;
  return {
    path: `M${right},${start} ${down} C${x},${end} ${x},${end} ${right + 6},${end}`,
    label: {x: x + 5, y: start + (end - start) * (0.3 + 0.2 * (edge.lane % 3))},
  };
}

function drawEdge(edge, places, state, kernels) {
  const chosen = kernels.findIndex(kernel => kernel.name === state.kernel);
  const isLit = chosen >= 0 && (edge.from === chosen || edge.to === chosen);
  const {path, label} = wayOf(edge, places),
               told = edge.kind === 'carry' ? [...edge.values, 'carried to the next layer'] : edge.values;
  return make(
      'g', {}, make('title', {}, told.join('\n')), make('path', {
        class: `edge ${edge.kind}${isLit ? ' lit' : ''}`,
        d: path,
        'marker-end': 'url(#arrow)',
        'stroke-width': Math.min(5, 1 + Math.log10(1 + edge.bytes / 64))
      }),
      make('text', {class: 'soft', ...label, 'font-size': 10.5}, bytesText(edge.bytes)));
}

/** The kernels that stand in a row and run once for each layer, framed. */
function drawLayer(view, places, width) {
  const inside = view.kernels.map((kernel, index) => kernel.inLayer ? index : -1).filter(index => index >= 0);
  if (!inside.length) return [];
  const top = places[inside[0]].y - 12, last = places[inside.at(-1)], bottom = last.y + last.height + 12;
  return [
    make('rect', {class: 'layer', x: 22, y: top, width: width - 30, height: bottom - top, rx: 14}),
    make('text', {class: 'soft', x: 34, y: top + 18, 'font-size': 11.5}, `layer × ${view.kernels[inside[0]].times}`)
  ];
}

/** Where each kernel stands; `short` are those that would be lower, were they to scale. */
function placesOf(view, state, pixels) {
  const places = [];
  let y = GRAPH.gap;
  view.kernels.forEach((kernel, index) => {
    const height = SCALES[state.scale](kernel, state.load, state.machine) * pixels;
    if (index && view.kernels[index - 1].inLayer !== kernel.inLayer) y += 22;
    places.push({y, height: Math.max(height, GRAPH.least), short: height < GRAPH.least});
    y += Math.max(height, GRAPH.least) + GRAPH.gap;
  });
  return {places, bottom: y + 6};
}

function arrowHead() {
  const size = {viewBox: '0 0 8 8', refX: 6, refY: 4, markerWidth: 9, markerHeight: 9};
  const head = make('path', {d: 'M0,0 L8,4 L0,8 z', fill: 'var(--soft)'});
  return make('defs', {}, make('marker', {id: 'arrow', ...size, orient: 'auto', markerUnits: 'userSpaceOnUse'}, head));
}

/** `isChanged` tells of a kernel whether the other way has none like it. */
function drawGraph(view, state, pixels, select, isChanged) {
  const {places, bottom} = placesOf(view, state, pixels), last = view.kernels.length - 1;
  // What comes from outside enters at the top and leaves at the bottom; elsewhere something stands there already.
  const edges = bundled(view.edges).filter(edge => edge.from >= 0 ? edge.to >= 0 || edge.from === last : edge.to === 0);
  const isStraight = edge => edge.from < 0 || edge.to < 0 || (edge.kind === 'stream' && edge.to === edge.from + 1);
  assignLanes(edges.filter(edge => !isStraight(edge)));
  const width = GRAPH.left + GRAPH.box + 44 + GRAPH.lane * (1 + Math.max(-1, ...edges.map(edge => edge.lane ?? -1)));
  const most = Math.max(...view.kernels.map(kernel => kernel.weightBytes), 1);
  const boxes = view.kernels.flatMap(
      (kernel, index) =>
          [drawWeights(kernel, places[index], most),
           drawBox(kernel, places[index], state, select),
           isChanged(kernel) ? drawChange(places[index]) : null,
  ]);
  const size = {viewBox: `0 0 ${width} ${bottom}`, style: `max-width: ${1.25 * width}px; margin: auto`};
  return make(
      'svg', {...size, role: 'img', 'aria-label': 'graph of kernels'}, arrowHead(), ...drawLayer(view, places, width),
      ...edges.map(edge => drawEdge(edge, places, state, view.kernels)), ...boxes);
}

/** A mark at the edge of a box that is not the same in the other way. */
function drawChange(place) {
  const mark = {x: GRAPH.left + 4, y: place.y + 7, width: 4, height: place.height - 14, rx: 2};
  return make('rect', {class: 'change', ...mark}, make('title', {}, 'not the same in the other way'));
}
