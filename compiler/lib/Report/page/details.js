// What the page says of the chosen kernel: figures, and its text at every stage.

const STAGES = ['precise', 'fused', 'scheduled', 'target', 'LLVM IR', 'PTX', 'assembly', 'CUDA C++'];
const RESOURCES = {
  threads: ['threads a block', String],
  registers: ['registers', String],
  shared: ['shared memory', bytesText],
  spills: ['spilled', bytesText],
  stack: ['stack', bytesText],
  scratch: ['scratch a task', bytesText],
  blocks: ['blocks a multiprocessor', String],
  occupancy: ['occupancy', value => `${Math.round(100 * value)} %`]
};

/** [name, figure] of a kernel. */
function statsOf(kernel, view) {
  const load = kernel.loads[state.load];
  const stats = view.machines.map(
      (machine, index) => [machine.name, `${timeText(load.machines[index].seconds)}, ${load.machines[index].bound}`]);
  stats.push(
      [view.token ? 'phases' : 'launches', countText(kernel.times)], ['rows', countText(load.rows)], ['memory', bytesText(load.bytes)],
      ['operations', countText(load.operations)], ['operations a byte', (load.operations / load.bytes).toPrecision(2)],
      ...(view.token ? [] : [['streams', `${kernel.streamsRead} in, ${kernel.streamsWritten} out`]]), ['weights', bytesText(kernel.weightBytes)],
      ['state a sequence', bytesText(kernel.stateBytes)]);
  for (const [key, value] of Object.entries(kernel.resources)) stats.push([RESOURCES[key][0], RESOURCES[key][1](value)]);
  return stats;
}

/** Figures of the first way's kernel; where the other's differ, those behind an arrow. */
function statsBlock(kernels, views) {
  const all = kernels.map((kernel, way) => kernel ? new Map(statsOf(kernel, views[way])) : null).filter(Boolean);
  return make('div', {class: 'stats'}, ...[...all[0]].map(([name, value]) => {
    const other = all[1]?.get(name);
    return make(
        'div', {}, make('span', {}, name), make('b', {}, value),
        other !== undefined && other !== value ? make('em', {}, `→ ${other}`) : null);
  }));
}

function codesOf(kernels, tab) {
  const text = kernel => kernel?.stages[tab] ?? '';
  const block = kernel =>
      tab === 'description' ? descriptionBlock(DESCRIPTION, kernel.lines) : codeBlock(text(kernel), DESCRIPTION);
  if (kernels.length > 1 && state.changes && tab !== 'description' && kernels.every(Boolean))
    return differenceBlock(text(kernels[0]), text(kernels[1]));
  if (tab === 'description' && new Set(kernels.map(kernel => String(kernel?.lines))).size === 1) return block(kernels[0]);
  return make(
      'div', {class: 'codes'},
      ...kernels.map(
          (kernel, way) => make(
              'div', {}, kernels.length > 1 ? make('h3', {}, DATA.ways[way].label) : null,
              kernel ? block(kernel) : make('p', {class: 'none'}, 'No kernel of this name.'))));
}

function drawDetails(views) {
  const kernels = views.map(kernelIn), kernel = kernels.find(Boolean);
  if (!kernel) return fill('details', make('p', {class: 'none'}, 'Choose a kernel.'));
  const tabs = ['description', ...STAGES.filter(name => name in kernel.stages)];
  const tab = tabs.includes(state.tab) ? state.tab : tabs.at(-1);
  const bar = make(
      'div', {class: 'tabs', role: 'tablist'},
      ...tabs.map(
          name => make(
              'button', {
                type: 'button',
                role: 'tab',
                'data-tab': name,
                'aria-selected': String(name === tab),
                onclick: () => choose({tab: name})
              },
              name)));
  if (views.length > 1)
    bar.append(make(
        'label', {}, make('input', {
          type: 'checkbox',
          checked: state.changes ? '' : undefined,
          onchange: event => choose({changes: event.target.checked})
        }),
        ' changes only'));
  fill(
      'details', make('h2', {}, kernel.name), make('p', {class: 'legend'}, kernel.operations.join(' · ')),
      statsBlock(kernels, views),
      ...[...new Set(kernels.filter(Boolean).map(one => one.schedule))].map(text => make('p', {class: 'schedule'}, text)), bar,
      codesOf(kernels, tab));
}
