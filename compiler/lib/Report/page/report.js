// The page: what is chosen, and everything drawn anew when that changes.

const DATA = JSON.parse(byId('data').textContent);
const DESCRIPTION = DATA.description.split('\n');
const state = {
  view: 0,
  load: 0,
  machine: 0,
  scale: 'time',
  kernel: '',
  tab: 'description',
  changes: false
};

const viewName = view => view.target + (view.entry ? `, ${view.entry}` : '');
/** The view of each way that is for the same target and entry as the chosen one. */
function chosenViews() {
  const first = DATA.ways[0].views[state.view];
  return DATA.ways.map(way => way.views.find(view => viewName(view) === viewName(first))).filter(Boolean);
}
const kernelIn = view => view.kernels.find(kernel => kernel.name === state.kernel);
const sumOf = (view, value) => view.kernels.reduce((sum, kernel) => sum + kernel.times * value(kernel), 0);

function choose(changes) {
  Object.assign(state, changes);
  draw();
}
const select = name => choose({kernel: name});

function chips(id, names, chosen, pick) {
  fill(
      id,
      ...names.map(
          (name, index) =>
              make('button', {type: 'button', 'aria-pressed': String(index === chosen), onclick: () => pick(index)}, name)));
  byId(id).parentElement.hidden = !names.length;
}

/** A target has one program or several, by the number of rows. */
function drawChoices(view) {
  const views = DATA.ways[0].views, targets = [...new Set(views.map(one => one.target))];
  const programs = views.filter(one => one.target === view.target), show = one => choose({view: views.indexOf(one), load: 0, machine: 0});
  chips('targets', targets, targets.indexOf(view.target), index => show(views.find(one => one.target === targets[index])));
  chips(
      'programs', view.entry ? programs.map(one => one.entry) : [], programs.indexOf(view), index => show(programs[index]));
  chips('loads', view.loads, state.load, index => choose({load: index}));
  chips('machines', view.machines.map(machine => machine.name), state.machine, index => choose({machine: index}));
  const scales = Object.keys(SCALES);
  chips('scales', scales, scales.indexOf(state.scale), index => choose({scale: scales[index]}));
}

/** The figure of the first way, and below it that of the other and by how much it differs. */
function totalCard(title, views, value, text, hint) {
  const [first, other] = views.map(value);
  const card = make('div', {class: 'total'}, make('span', {}, title), make('b', {}, text(first)));
  if (other === undefined)
    card.append(make('em', {}, hint));
  else {
    const ratio = first ? other / first : 1, same = Math.abs(ratio - 1) < 5e-4;
    card.append(make(
        'em',
        {class: same   ? '' :
             ratio < 1 ? 'better' :
                         'worse'},
        `other way: ${text(other)}${same ? '' : ` (${ratio.toFixed(2)}×)`}`));
  }
  return card;
}

function drawTotals(views) {
  const at = kernel => kernel.loads[state.load], machine = views[0].machines[state.machine];
  const cards = [
    totalCard(
        views[0].token ? 'phases of one launch' : 'launches', views, view => sumOf(view, () => 1), countText,
        'in one pass over all layers'),
    totalCard('memory traffic', views, view => sumOf(view, kernel => at(kernel).bytes), bytesText, 'weights, streams and states'),
    totalCard(
        'streams per token', views, view => sumOf(view, kernel => kernel.readBytes + kernel.writeBytes), bytesText,
        views[0].token ? 'exchanged between phases' : 'read and written between kernels'),
    totalCard(
        'stream passes', views, view => sumOf(view, kernel => kernel.passes), countText, 'arrays read or written by launches'),
    totalCard('operations', views, view => sumOf(view, kernel => at(kernel).operations), countText, 'a multiply-add is two'),
  ];
  if (views[0].token) cards.splice(3, 1);  // no streams in memory
  if (machine) {
    const seconds = view => sumOf(view, kernel => at(kernel).machines[state.machine].seconds);
    cards.unshift(totalCard('predicted', views, seconds, timeText, machine.name));
  }
  fill('totals', ...cards);
}

function drawLegend(view) {
  fill('graph-title', view.token ? 'A whole token in one launch, phase by phase' : 'One pass, kernel by kernel');
  const item = (name, text) => [make('i', {style: `background: var(--${name})`}), text];
  fill(
      'legend',
      'Times are the cost model’s. Bound by',
      ...item('memory', 'memory'), ...item('products', 'projections'), ...item('elementwise', 'elementwise'),
      ...item('launch', 'launch'), ...(view.gpu ? item('waiting', view.token ? 'waiting for the phase before' : 'waiting of blocks') : []),
      '. Heights to scale; dashed boxes would be lower. Bars at the left are weights, numbers at arrows bytes per token.',
      DATA.ways.length > 1 ? ' A bar inside a box marks what is not the same in the other way.' : '');
}

function drawTable(views) {
  const machine = views[0].machines[state.machine],
        names = [...new Set(views.flatMap(view => view.kernels.map(kernel => kernel.name)))];
  const seconds = kernel => kernel.loads[state.load].machines[state.machine]?.seconds ?? 0;
  const most = Math.max(...views.flatMap(view => view.kernels.map(seconds)), 1e-30);
  const timed = measuredColumns(views[0]);
  noteMeasured(views[0]);
  const columns = [
    [views[0].token ? 'phases' : 'launches', k => countText(k.times)], ['memory', k => bytesText(k.loads[state.load].bytes)],
    ['operations', k => countText(k.loads[state.load].operations)], ['weights', k => bytesText(k.weightBytes)]
  ];
  if (!views[0].token) columns.push(['stream passes', k => countText(k.passes)]);
  for (const key of Object.keys(RESOURCES))
    if (views.some(view => view.kernels.some(kernel => key in kernel.resources)))
      columns.push([RESOURCES[key][0], k => key in k.resources ? RESOURCES[key][1](k.resources[key]) : '']);
  const head = [
    'kernel',
    ...views.flatMap(
        (view, way) => [machine ? `${machine.name}${views.length > 1 ? (way ? ', other' : ', given') : ''}` : 'time']),
    ...timed.map(column => column.title), ...columns.map(([name]) => name)
  ];
  const rows = names.map(name => {
    const kernels = views.map(view => view.kernels.find(kernel => kernel.name === name)), shown = kernels.find(Boolean);
    const times = kernels.map(
        kernel => make(
            'td', {}, kernel && machine ? timeText(seconds(kernel)) : '–',
            kernel && machine ? make('span', {
              class: 'bar',
              style: `--bound: var(--${kernel.loads[state.load].machines[state.machine].bound}); width: ${
                  Math.max(1, 90 * seconds(kernel) / most)}px`
            }) :
                                null));
    return make(
        'tr', {class: name === state.kernel ? 'chosen' : undefined, onclick: () => select(name)}, make('td', {}, name), ...times,
        ...timed.map(column => measuredCell(column, views[0], name)), ...columns.map(([, text]) => make('td', {}, text(shown))));
  });
  fill('table', make('thead', {}, make('tr', {}, ...head.map(name => make('th', {}, name)))), make('tbody', {}, ...rows));
}

function drawPasses() {
  const other = new Set((DATA.ways[1]?.pipelines ?? []).map(one => one.stage + one.of + one.passes));
  const own = new Set(DATA.ways[0].pipelines.map(one => one.stage + one.of + one.passes));
  const shown = DATA.ways.flatMap(
      (way, index) =>
          way.pipelines.filter(one => !index || !own.has(one.stage + one.of + one.passes))
              .map(
                  one => make(
                      'p', {class: 'passes'}, make('b', {}, one.stage),
                      make(
                          'span', {}, one.of ? ` ${one.of}` : '',
                          DATA.ways.length > 1 && (index || !other.has(one.stage + one.of + one.passes)) ? ` (${way.label})` : '',
                          ' '),
                      index ? make('mark', {}, one.passes) : one.passes)));
  fill('pipelines', ...shown);
  const first = new Set(DATA.ways[0].remarks), second = new Set(DATA.ways[1]?.remarks ?? []);
  const more = [...second].filter(line => !first.has(line));
  fill('remarks', ...[...first, ...more].map(line => remarkLine(line, first.has(line) ? '' : ` (${DATA.ways[1].label})`)));
}

/** "layer.mlir:31:5  FuseScanReadout: scan and mulf are one kernel", without the folder. */
function remarkLine(line, suffix) {
  const text = line.replace(/^(?:.*[/\\])?([^/\\]*?:\d+:\d+): remark: /, '$1  ');
  return make('p', {class: / stays /.test(line) ? 'stays' : undefined}, text, suffix ? make('mark', {}, suffix) : null);
}

/** Whether a kernel does, reads or writes something else in the other way, or is cut otherwise. */
function isChanged(kernel, view, views) {
  const traits = one => one && JSON.stringify([one.operations, one.schedule, one.readBytes, one.writeBytes, one.stateBytes]);
  const others = views.filter(other => other !== view);
  return others.some(other => traits(other.kernels.find(one => one.name === kernel.name)) !== traits(kernel));
}

function draw() {
  const views = chosenViews();
  if (!views.some(kernelIn))
    state.kernel = views[0].kernels.toSorted((a, b) => (b.loads[state.load].bytes - a.loads[state.load].bytes))[0]?.name ?? '';
  drawChoices(views[0]);
  drawTotals(views);
  drawLegend(views[0]);
  const pixels = pixelsPerUnit(views, state);
  fill(
      'graphs',
      ...views.map(
          (view, way) => make(
              'figure', {}, views.length > 1 ? make('figcaption', {}, DATA.ways[way].label) : null,
              drawGraph(view, state, pixels, select, kernel => isChanged(kernel, view, views)))));
  drawDetails(views);
  fill('roofline', drawRoofline(views, state, select));
  drawTable(views);
}

document.body.classList.toggle('two', DATA.ways.length > 1);
document.title = `${DATA.model} · sm1 report`;
fill('model', DATA.model.split('/').filter(Boolean).at(-1) ?? DATA.model);
fill('subtitle', `${DATA.compiler} · ${DATA.ways[0].views.length} views${DATA.ways[1] ? ` · beside ${DATA.ways[1].label}` : ''}`);
drawPasses();
draw();
