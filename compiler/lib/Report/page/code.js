// Code: colours, line numbers, places in the description, differences.

/** Comments, strings, values, and names of operations and instructions. */
const TOKENS = new RegExp(
    [
      /(\/\/.*$|;.*$|#[^\s,>]*$)/,
      /("[^"]*")/,
      /([%$@][\w$.#-]+)/,
      /\b((?:sm1|arith|math|vector|scf|memref|func|llvm|nvvm|ld|st|fma|mma|bar)\.[\w.:]+)/,
      /\b(define|ret|br|call|fadd|fmul|load|store|getelementptr|phi|v[a-z]+[ps]s|tensor|memref)\b/,
    ].map(part => part.source)
        .join('|'),
    'g');

/** One line with its words coloured. */
function colouredLine(line, number, classes) {
  const row = make('div', {'data-line': number ?? '', class: classes || undefined});
  let end = 0;
  for (const match of line.matchAll(TOKENS)) {
    const kind = ['c', 's', 'v', 'k', 'k'][match.slice(1).findIndex(Boolean)];
    row.append(line.slice(end, match.index), make('span', {class: kind}, match[0]));
    end = match.index + match[0].length;
  }
  row.append(line.slice(end));
  return row;
}

const linesOf = text => text.replace(/\n$/, '').split('\n');

/** The place of the description that a .loc directive names, behind it. */
function withPlace(row, line, description) {
  const place = /^\s*\.loc\s+\d+\s+(\d+)/.exec(line);
  if (place && description[place[1] - 1] !== undefined && place[1] > 0)
    row.append(make('span', {class: 'from'}, `   ← ${place[1]}: ${description[place[1] - 1].trim()}`));
  return row;
}

function codeBlock(text, description) {
  if (!text) return make('p', {class: 'none'}, 'There is nothing at this stage.');
  return make(
      'pre', {class: 'code'}, ...linesOf(text).map((line, index) => withPlace(colouredLine(line, index + 1), line, description)));
}

/** The description around the lines that a kernel is made of, these marked. */
function descriptionBlock(description, lines) {
  if (!lines.length) return make('p', {class: 'none'}, 'The kernel comes from no line of the description.');
  const hit = new Set(lines), rows = [];
  let last = 0;
  description.forEach((line, index) => {
    const number = index + 1, near = [-1, 0, 1].some(step => hit.has(number + step));
    if (!near) return;
    if (last && number > last + 1) rows.push(colouredLine('⋯', ''));
    rows.push(colouredLine(line, number, hit.has(number) ? 'hit' : ''));
    last = number;
  });
  return make('pre', {class: 'code'}, ...rows);
}

/** [kind, line] for every line of both texts; kinds are ' ', '-' and '+'. */
function difference(before, after) {
  const a = linesOf(before), b = linesOf(after);
  let head = 0, tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) ++head;
  while (tail < a.length - head && tail < b.length - head && a.at(-1 - tail) === b.at(-1 - tail)) ++tail;
  const x = a.slice(head, a.length - tail), y = b.slice(head, b.length - tail);
  const same = line => [' ', line];
  let middle;
  if (x.length * y.length > 4e6) {  // too far apart to be worth a table
    middle = [...x.map(line => ['-', line]), ...y.map(line => ['+', line])];
  } else {
    const longest = Array.from({length: x.length + 1}, () => new Uint16Array(y.length + 1));
    for (let i = x.length - 1; i >= 0; --i)
      for (let j = y.length - 1; j >= 0; --j)
        longest[i][j] = x[i] === y[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
    middle = [];
    for (let i = 0, j = 0; i < x.length || j < y.length;) {
      if (i < x.length && j < y.length && x[i] === y[j])
        middle.push(same(x[i])), ++i, ++j;
      else if (j < y.length && (i === x.length || longest[i][j + 1] >= longest[i + 1][j]))
        middle.push(['+', y[j++]]);
      else
        middle.push(['-', x[i++]]);
    }
  }
  return [...a.slice(0, head).map(same), ...middle, ...a.slice(a.length - tail).map(same)];
}

function differenceBlock(before, after) {
  const rows = difference(before, after), kept = new Set();
  rows.forEach(([kind], index) => kind !== ' ' && [-3, -2, -1, 0, 1, 2, 3].forEach(step => kept.add(index + step)));
  if (!kept.size) return make('p', {class: 'none'}, 'Both ways are the same here.');
  const shown = [];
  rows.forEach(([kind, line], index) => {
    if (!kept.has(index)) return;
    if (index && !kept.has(index - 1)) shown.push(colouredLine('⋯', ''));
    shown.push(colouredLine(`${kind} ${line}`, '', {'+': 'add', '-': 'del'}[kind]));
  });
  return make('pre', {class: 'code'}, ...shown);
}
