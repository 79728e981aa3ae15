/** Lines that a thread writes into a file by itself. */
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { FileLines, lineOutput } from '../src/file-lines.ts';
import { Output } from '../src/output.ts';

const folder = mkdtempSync(join(tmpdir(), 'file-lines-'));
after(() => rmSync(folder, { recursive: true }));

/** A disk that takes `room` bytes, in pieces of at most 7. */
class Disk {
  text = '';
  room = Number.POSITIVE_INFINITY;
  readonly write = (_descriptor: number, bytes: Uint8Array): number => {
    if (this.room === 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    const taken = Math.min(bytes.length, this.room, 7);
    this.text += Buffer.from(bytes.subarray(0, taken)).toString();
    this.room -= taken;
    return taken;
  };
}

function rig() {
  const disk = new Disk();
  const time = { now: 0 };
  const failures: string[] = [];
  const lines = new FileLines(1, { now: () => time.now, onFailed: (error) => failures.push(error.message), write: disk.write });
  return { disk, time, failures, lines };
}

describe('lines for a file', () => {
  test('are there when write has returned, in order, behind what was there', async () => {
    const path = join(folder, 'access.log');
    const descriptor = openSync(path, 'a');
    const lines = lineOutput(descriptor, { now: () => 0, onFailed: (error) => assert.fail(error) });
    assert.ok(lines instanceof FileLines);
    lines.write('one\n');
    assert.equal(readFileSync(path, 'utf8'), 'one\n');
    lines.write('zwei — 二\n');
    assert.equal(readFileSync(path, 'utf8'), 'one\nzwei — 二\n');
    await lines.flush();
    closeSync(descriptor);
  });

  test('that cannot be written wait, and are completed first: no line is torn', () => {
    const { disk, time, failures, lines } = rig();
    disk.room = 10;
    lines.write('{"line":1}\n{"line":2}\n');
    assert.equal(disk.text, '{"line":1}');
    assert.equal(lines.hasRoom, false);
    disk.room = 1_000;
    time.now = 999;
    assert.equal(lines.hasRoom, false, 'it is not tried for each line');
    time.now = 1_000;
    assert.equal(lines.hasRoom, true);
    lines.write('{"line":3}\n');
    assert.equal(disk.text, '{"line":1}\n{"line":2}\n{"line":3}\n');
    assert.equal(failures.length, 1);
  });

  test('say that they fail once, and again when they fail anew', () => {
    const { disk, time, failures, lines } = rig();
    disk.room = 0;
    lines.write('a\n');
    for (let tries = 1; tries <= 5; tries++) {
      time.now = tries * 1_000;
      assert.equal(lines.hasRoom, false);
    }
    assert.deepEqual(failures, ['ENOSPC: no space left on device, write']);
    disk.room = 2;
    time.now = 9_000;
    assert.equal(lines.hasRoom, true);
    lines.write('b\n');
    assert.equal(failures.length, 2);
  });

  test('that are written without room, as the last ones are, wait in their order', async () => {
    const { disk, lines } = rig();
    disk.room = 0;
    lines.write('a\n');
    lines.write('b\n');
    disk.room = 100;
    await lines.flush();
    assert.equal(disk.text, 'a\nb\n');
  });

  test('a file that takes nothing, and says nothing of it, has failed', () => {
    const failures: string[] = [];
    const lines = new FileLines(1, { now: () => 0, onFailed: ({ message }) => failures.push(message), write: () => 0 });
    lines.write('a\n');
    assert.deepEqual([lines.hasRoom, failures], [false, ['the file takes nothing']]);
  });

  test('what is no file, or is not there, is written by the stream of the process', () => {
    const descriptor = openSync('/dev/null', 'r');
    const options = { now: () => 0, onFailed: (error: Error) => assert.fail(error) };
    assert.ok(lineOutput(descriptor, options) instanceof Output);
    closeSync(descriptor);
    assert.ok(lineOutput(descriptor, options) instanceof Output);
  });
});
