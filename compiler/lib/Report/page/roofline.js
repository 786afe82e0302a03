// The roofline: arithmetic per byte against arithmetic per second, both logarithmic.

const ROOFLINE = {
  width: 640,
  height: 380,
  left: 74,
  right: 20,
  top: 16,
  bottom: 46
};

/** Whole decades around some values, and the pixel of a value between two ends. */
function logAxis(values, from, to) {
  const low = Math.floor(Math.log10(0.6 * Math.min(...values))), high = Math.ceil(Math.log10(Math.max(...values)));
  const decades = Array.from({length: high - low + 1}, (_, step) => 10 ** (low + step));
  return {decades, least: 10 ** low, at: value => from + (Math.log10(value) - low) / (high - low) * (to - from)};
}

/** Every kernel of every way: x operations a byte, y operations a second. */
function rooflinePoints(views, state) {
  const points = views.flatMap((view, way) => view.kernels.map(kernel => {
    const load = kernel.loads[state.load], estimate = load.machines[state.machine];
    return {kernel, way, x: load.operations / load.bytes, y: load.operations / estimate.seconds, bound: estimate.bound};
  }));
  return points.filter(point => point.x > 0 && point.y > 0);
}

function drawGrid(x, y) {
  const {width, height, left, right, top, bottom} = ROOFLINE, floor = height - bottom;
  const label = (text, place) => make('text', {class: 'soft', 'font-size': 11, ...place}, text);
  return [
    ...x.decades.flatMap(
        value =>
            [make('line', {x1: x.at(value), x2: x.at(value), y1: top, y2: floor, stroke: 'var(--line)'}),
             label(String(Number(value.toPrecision(1))), {x: x.at(value), y: floor + 16, 'text-anchor': 'middle'}),
  ]),
    ...y.decades.flatMap(
        value =>
            [make('line', {x1: left, x2: width - right, y1: y.at(value), y2: y.at(value), stroke: 'var(--line)'}),
             label(rateText(value, 'op/s'), {x: left - 8, y: y.at(value) + 4, 'text-anchor': 'end'}),
  ]),
    label('operations per byte of memory traffic', {x: (width + left) / 2, y: height - 8, 'text-anchor': 'middle'}),
  ];
}

/** What memory allows, up to what arithmetic of each kind allows. */
function drawRoofs(machine, kinds, x, y) {
  const end = ROOFLINE.width - ROOFLINE.right, start = Math.max(x.least, y.least / machine.bytesPerSecond);
  const roofs = kinds.flatMap(kind => {
    const corner = machine[kind] / machine.bytesPerSecond;
    const slope = `M${x.at(start)},${y.at(start * machine.bytesPerSecond)} L${x.at(corner)},${y.at(machine[kind])} H${end}`;
    return [
      make('path', {d: slope, fill: 'none', stroke: 'var(--ink)', 'stroke-width': 1.6, 'stroke-opacity': 0.75}),
      make(
          'text', {x: end - 4, y: y.at(machine[kind]) - 6, 'font-size': 11.5, 'text-anchor': 'end'},
          `${rateText(machine[kind], 'op/s')} ${kind}`),
    ];
  });
  const name = `${machine.name}: ${rateText(machine.bytesPerSecond, 'B/s')}`;
  return [...roofs, make('text', {x: x.at(start) + 14, y: ROOFLINE.top + 12, 'font-size': 11.5}, name)];
}

/** A dot; of the other way hollow, of the chosen kernel large and named. */
function drawPoint(point, x, y, state, select) {
  const chosen = point.kernel.name === state.kernel, place = {cx: x.at(point.x), cy: y.at(point.y)};
  const look =
      {fill: 'var(--bound)', 'fill-opacity': point.way ? 0.25 : 0.85, stroke: 'var(--bound)', 'stroke-width': chosen ? 3 : 1.5};
  const told = `${point.x.toPrecision(3)} operations a byte, ${rateText(point.y, 'op/s')}, bound by ${point.bound}`;
  return make(
      'g', {style: `--bound: var(--${point.bound})`, cursor: 'pointer', onclick: () => select(point.kernel.name)},
      make('circle', {...place, r: chosen ? 7.5 : 5.5, ...look}, make('title', {}, `${point.kernel.name}: ${told}`)),
      chosen ? make('text', {x: place.cx + 11, y: place.cy + 4, 'font-size': 12, 'font-weight': 600}, point.kernel.name) : null);
}

function drawRoofline(views, state, select) {
  const machine = views[0].machines[state.machine];
  if (!machine) return make('p', {class: 'none'}, 'No machine with this target is in the table of report machines.');
  const points = rooflinePoints(views, state),
        used = new Set(views.flatMap(view => view.kernels.map(kernel => kernel.arithmetic)));
  const kinds = ['f32', 'bf16', 'fp8', 'int8'].filter(kind => kind === 'f32' || used.has(kind));
  const peak = Math.max(...kinds.map(kind => machine[kind])), {width, height, left, right, top, bottom} = ROOFLINE;
  const x = logAxis([...points.map(point => point.x), 4 * peak / machine.bytesPerSecond], left, width - right);
  const y = logAxis([...points.map(point => point.y), 2 * peak], height - bottom, top);
  return make(
      'svg', {viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': 'roofline'}, ...drawGrid(x, y),
      ...drawRoofs(machine, kinds, x, y), ...points.map(point => drawPoint(point, x, y, state, select)));
}
