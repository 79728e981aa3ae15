/** A thread with a TLS server of its own, on keys that the test has made; answers each rotation that the test asks for. */
import { parentPort, workerData } from 'node:worker_threads';
import { listen } from '../../src/accept/listener.ts';
import { TicketKeys } from '../../src/tls/ticket-keys.ts';
import { TlsServer } from '../../src/tls/tls-server.ts';

const { buffer, certificate, key } = workerData as { buffer: SharedArrayBuffer; certificate: string; key: string };
const tickets = new TicketKeys({ buffer, rotationMs: Infinity });
const server = new TlsServer({ certificates: [{ certificate, key }], tickets });
const listener = await listen('127.0.0.1:0', (stream) => {
  server.accept(stream, {
    onSecure(secure) {
      // One byte, so that a client of TLS 1.3 has its tickets before it.
      secure.write(Uint8Array.of(secure.info.tls?.isResumed === true ? 1 : 0));
      secure.attach({ onData() {}, onDrain() {}, onEnd: () => secure.end(), onClose() {} });
    },
    onHandshakeFailed() {},
  });
});
parentPort?.on('message', () => {
  parentPort?.close();
  void listener.close();
  void server.close();
});
parentPort?.postMessage(listener.address);
