// Times of kernels from a file of `sm1-bench kernels --json`, chosen by who looks at the page; they never leave it.

const measured = {name: '', columns: []};

function workText(row) {
  const sequences = `${row.batch} sequence${row.batch > 1 ? 's' : ''}`;
  return row.name === 'decode' ? `decode, ${sequences}` : `${row.name}, ${sequences} of ${row.time} tokens`;
}

/** A column for each run whose kernels were timed; throws where the file is another one. */
function columnsOf(bench) {
  const several = new Set(bench.variants.map(variant => variant.package)).size > 1;
  return bench.rows.filter(row => row.kernels?.length).map(row => {
    const variant = bench.variants[row.variant], {target, threads} = variant;
    const where = variant.device.startsWith('cpu') ? `${threads} thread${threads > 1 ? 's' : ''}` : variant.device;
    const what = several ? `${variant.package.split('/').at(-1)}, ` : '';
    return {target, title: `measured, ${what}${workText(row)}, ${where}`, kernels: row.kernels};
  });
}

/** Programs of a GPU have kernels of one name each; a CPU's program has all of them. */
const isMeasuredIn = view => kernel =>
    (!view.entry || kernel.entry === view.entry) && view.kernels.some(one => one.name === kernel.kernel);
const measuredColumns = view =>
    measured.columns.filter(column => column.target === view.target && column.kernels.some(isMeasuredIn(view)));

/** A launch's time, and how it was predicted on the machine that measured. */
function measuredCell(column, view, name) {
  const kernel = column.kernels.find(one => one.kernel === name && isMeasuredIn(view)(one));
  if (!kernel) return make('td', {}, '–');
  const seconds = kernel.seconds.median / kernel.launches, ratio = kernel.predicted_seconds / kernel.seconds.median;
  return make('td', {}, timeText(seconds), kernel.predicted_seconds ? make('em', {}, ` predicted ${ratio.toFixed(2)}×`) : null);
}

function noteMeasured(view) {
  const others = [...new Set(measured.columns.map(column => column.target))].join(', ');
  const missing = measured.name && !measuredColumns(view).length;
  fill('measured-note', missing ? ` ${measured.name} has no kernel of this program; it is about ${others || 'none'}` : '');
}

async function readMeasured(event) {
  const file = event.target.files[0];
  if (!file) return;
  Object.assign(measured, {name: file.name, columns: []});
  try {
    measured.columns = columnsOf(JSON.parse(await file.text()));
  } catch (error) {
    measured.name = '';
    draw();
    fill('measured-note', ` ${file.name}: not what sm1-bench kernels --json writes (${error.message})`);
    return;
  }
  draw();
}
byId('measured').addEventListener('change', readMeasured);
