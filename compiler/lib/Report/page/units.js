// Numbers for people, and small pieces of the document.
'use strict';

function scaled(value, units, base) {
  let index = 0;
  while (index + 1 < units.length && Math.abs(value) >= base) value /= base, ++index;
  const digits = value === 0 || Math.abs(value) >= 100 || (index === 0 && Number.isInteger(value)) ? 0 :
      Math.abs(value) >= 10                                                                        ? 1 :
                                                                                                     2;
  return `${value.toFixed(digits)} ${units[index]}`;
}
const bytesText = value => scaled(value, ['B', 'KB', 'MB', 'GB'], 1000);
const countText = value => scaled(value, ['', 'k', 'M', 'G', 'T'], 1000).trim();
const rateText = (value, unit) => scaled(value, [unit, 'k' + unit, 'M' + unit, 'G' + unit, 'T' + unit, 'P' + unit], 1000);
const timeText = seconds => scaled(seconds * 1e9, ['ns', 'µs', 'ms', 's'], 1000);

/** An element with attributes and children; text children are text, never markup. */
function make(tag, attributes = {}, ...children) {
  const isSvg = ['svg', 'g', 'rect', 'path', 'text', 'circle', 'line', 'title', 'defs', 'marker', 'tspan'].includes(tag);
  const element = isSvg ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on'))
      element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false)
      element.setAttribute(name, value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}
const byId = id => document.getElementById(id);
const fill = (id, ...children) => byId(id).replaceChildren(...children);
