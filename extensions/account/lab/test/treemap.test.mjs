import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Folders, neighbour, squarified, tiles } from '../lib/treemap.js';

const place = (path, bytes, more) => ({ path, bytes, files: 1, newest: 5, ...more });
const HOME = [
  place('', 1000), place('data', 700), place('data/old', 500), place('models', 200), place('data/old/a/b', 100)
];
const names = parts => parts.map(part => [part.kind, part.name, part.bytes]);

test('a folder shows what is in it, largest first, and the rest as other files', () => {
  const folders = new Folders(HOME);
  assert.deepEqual(names(folders.parts('')), [['folder', 'data', 700], ['folder', 'models', 200], ['files', '', 100]]);
  assert.deepEqual(folders.parts('').map(part => part.share), [0.7, 0.2, 0.1]);
  assert.deepEqual(names(folders.parts('data')), [['folder', 'old', 500], ['files', '', 200]]);
  assert.deepEqual(names(folders.parts('gone')), []);
});

test('a folder whose parent is not known is in the nearest that is', () => {
  const folders = new Folders(HOME);
  assert.deepEqual(names(folders.parts('data/old')), [['files', '', 400], ['folder', 'a/b', 100]]);
  assert.equal(folders.above('data/old/a/b'), 'data/old');
  assert.deepEqual(folders.way('data/old/a/b').map(step => step.name), ['', 'data', 'old', 'a/b']);
  assert.deepEqual(folders.way('').map(step => step.path), ['']);
});

test('names that are near each other are not one in the other', () => {
  const folders = new Folders([place('', 9), place('data', 4), place('data2', 3), place('data2/x', 2)]);
  assert.deepEqual(names(folders.parts('data')), [['files', '', 4]]);
  assert.deepEqual(names(folders.parts('data2')), [['folder', 'x', 2], ['files', '', 1]]);
  assert.equal(new Folders([place('', 1), place('__proto__', 1)]).bytes('__proto__'), 1);
});

test('large files stand by themselves, and not twice', () => {
  const large = [{ path: 'data/big.tif', bytes: 150, newest: 7 }, { path: 'data/old', bytes: 500, newest: 7 }];
  const parts = new Folders(HOME, large).parts('data');
  assert.deepEqual(names(parts), [['folder', 'old', 500], ['file', 'big.tif', 150], ['files', '', 50]]);
  assert.equal(parts[1].newest, 7);
});

test('numbers that contradict each other make nothing negative', () => {
  const parts = new Folders([place('', 10), place('a', 30), place('b', 0)]).parts('');
  assert.deepEqual(names(parts), [['folder', 'a', 30], ['folder', 'b', 0]]);
  assert.ok(parts.every(part => part.share >= 0 && part.share <= 1));
  assert.deepEqual(new Folders([]).parts(''), []);
  assert.deepEqual(new Folders([place('', 0), place('a', 0)]).parts('')[0].share, 0);
});

test('what is too small for a rectangle is one together', () => {
  const many = new Folders([place('', 10_000), ...Array.from({ length: 100 }, (_, n) => place(`f${n}`, 100))]);
  const shown = tiles(many.parts(''));
  assert.equal(shown.length, 31);
  assert.deepEqual([shown[0].kind, shown[0].name, shown[0].bytes], ['rest', '70', 7000]);
  const tiny = tiles(new Folders([place('', 1000), place('a', 994), place('b', 2), place('c', 2)]).parts(''));
  assert.deepEqual(names(tiny), [['folder', 'a', 994], ['rest', '3', 6]]);
  assert.deepEqual(names(tiles(new Folders([place('', 1000), place('a', 999)]).parts(''))), [['folder', 'a', 999]]);
  const last = new Folders([place('', 3100), ...Array.from({ length: 31 }, (_, n) => place(`f${n}`, 100))]);
  assert.deepEqual([tiles(last.parts('')).length, tiles(last.parts('')).at(-1).kind], [31, 'folder']);
});

test('rectangles fill the room in proportion, inside it and without overlap', () => {
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  for (let round = 0; round < 200; round += 1) {
    const sizes = Array.from({ length: 1 + Math.floor(random() * 30) }, () => 1 + random() ** 4 * 1e4).sort((a, b) => b - a);
    const [width, height] = [50 + random() * 900, 50 + random() * 500];
    const boxes = squarified(sizes, width, height);
    const whole = sizes.reduce((sum, size) => sum + size, 0);
    boxes.forEach((box, n) => {
      const wanted = (sizes[n] / whole) * width * height;
      assert.ok(Math.abs(box.width * box.height - wanted) < 1e-6 * width * height, `${round}: area of ${n}`);
      assert.ok(box.x >= -1e-6 && box.y >= -1e-6 && box.x + box.width <= width + 1e-6 && box.y + box.height <= height + 1e-6);
      for (const other of boxes.slice(0, n)) {
        const apart = box.x >= other.x + other.width - 1e-6 || other.x >= box.x + box.width - 1e-6 ||
          box.y >= other.y + other.height - 1e-6 || other.y >= box.y + box.height - 1e-6;
        assert.ok(apart, `${round}: ${n} lies over another`);
      }
    });
  }
});

test('the example of the paper', () => {
  const boxes = squarified([6, 6, 4, 3, 2, 2, 1], 6, 4);
  const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`);
  near(boxes[0].width, 3); near(boxes[0].height, 2);
  near(boxes[1].width, 3); near(boxes[1].y, 2);
  near(boxes[2].width, 12 / 7); near(boxes[2].height, 7 / 3);
  near(boxes[3].x, 3 + 12 / 7);
});

test('no room and no sizes make no trouble', () => {
  assert.deepEqual(squarified([], 10, 10), []);
  assert.deepEqual(squarified([1], 0, 10), [{ x: 0, y: 0, width: 0, height: 0 }]);
  assert.deepEqual(squarified([5], 10, 10), [{ x: 0, y: 0, width: 10, height: 10 }]);
});

test('arrows lead to what lies there, and every rectangle can be reached', () => {
  const boxes = squarified([6, 6, 4, 3, 2, 2, 1], 6, 4);
  assert.equal(neighbour(boxes, 0, 'ArrowDown'), 1);
  assert.equal(neighbour(boxes, 1, 'ArrowUp'), 0);
  assert.equal(neighbour(boxes, 0, 'ArrowLeft'), null);
  assert.equal(neighbour(boxes, 0, 'ArrowUp'), null);
  assert.equal(neighbour(boxes, 0, 'x'), null);
  assert.equal(neighbour(boxes, 99, 'ArrowUp'), null);
  const reached = new Set([0]);
  for (const from of reached) {
    for (const key of ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown']) {
      const next = neighbour(boxes, from, key);
      if (next !== null) {
        reached.add(next);
      }
    }
  }
  assert.equal(reached.size, boxes.length);
});
