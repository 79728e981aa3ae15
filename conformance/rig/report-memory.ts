/**
 * Loaded before a program of ours, in each of its processes and threads: answers each byte from the Unix socket that `FERRATA_REPORT_MEMORY` names with the bytes
 * that are in use in this thread, on the heap and beside it, after a collection, and the end of a line.
 */
import { connect } from 'node:net';

const path = process.env['FERRATA_REPORT_MEMORY'];
if (path !== undefined) {
  const socket = connect(path);
  // Neither it nor its end is to matter to the program.
  socket.on('error', () => undefined).unref();
  socket.on('data', () => {
    (globalThis as { readonly gc?: () => void }).gc?.();
    const { heapUsed, external } = process.memoryUsage();
    socket.write(`${heapUsed + external}\n`);
  });
}
