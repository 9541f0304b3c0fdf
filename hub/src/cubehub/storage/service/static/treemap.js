// Rectangles as large as what they stand for, as near to squares as their sizes let them be (Bruls, Huizing, van Wijk 2000).

/** Lay out items with `bytes` into a rectangle; gives {item, x, y, width, height} for each that has any. */
export function layOut(items, x, y, width, height) {
  const found = [];
  let rest = items.filter(item => item.bytes > 0).sort((a, b) => b.bytes - a.bytes);
  let left = rest.reduce((sum, item) => sum + item.bytes, 0);
  while (rest.length) {
    const along = Math.min(width, height);
    const scale = (width * height) / left;
    const row = [];
    let [sum, worst] = [0, Infinity];
    for (const item of rest) {
      const thick = ((sum + item.bytes) * scale) / along;
      const next = Math.max(...[...row, item].map(one => {
        const long = (one.bytes * scale) / thick;
        return Math.max(long / thick, thick / long);
      }));
      if (row.length && next > worst) {
        break;
      }
      row.push(item);
      [sum, worst] = [sum + item.bytes, next];
    }
    const thick = (sum * scale) / along;
    let at = 0;
    for (const item of row) {
      const long = (item.bytes * scale) / thick;
      found.push(width >= height
        ? { item, x, y: y + at, width: thick, height: long }
        : { item, x: x + at, y, width: long, height: thick });
      at += long;
    }
    if (width >= height) {
      [x, width] = [x + thick, width - thick];
    } else {
      [y, height] = [y + thick, height - thick];
    }
    left -= sum;
    rest = rest.slice(row.length);
  }
  return found;
}
