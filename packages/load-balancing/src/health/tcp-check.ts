/** A check by connecting: whoever accepts, and shakes hands where TLS is asked for, is well. Nothing is sent, and nothing read. */
import type { HttpEnvironment } from '@ferrata/http';
import type { L4Stream } from '@ferrata/stream';
import type { Backend } from '../backend.ts';
import type { HealthCheck, HealthCheckContext } from './health-check.ts';
import { dialInTime, type ProbeConfig, type ProbeOptions, probeTarget, resolveProbeOptions } from './probe.ts';

/** Options of `tcpCheck`. */
export type TcpCheckOptions = ProbeOptions;

/**
 * Connects, makes TLS if it is told to, and closes the connection.
 *
 * A kernel accepts for a process that hangs as long as its queue has room: a check that asks something finds more.
 *
 * @throws {RangeError} when a number is out of range @throws {TypeError} when TLS cannot work as it is told to
 */
export function tcpCheck(options: TcpCheckOptions = {}): HealthCheck {
  return new TcpCheck(resolveProbeOptions(options));
}

class TcpCheck implements HealthCheck {
  readonly name: string;
  readonly #config: ProbeConfig;

  constructor(config: ProbeConfig) {
    this.name = config.tls === null ? 'tcp' : 'tls';
    this.#config = config;
  }

  async check(backend: Backend, { environment, signal }: HealthCheckContext): Promise<void> {
    const stream = await dialInTime(probeTarget(backend, this.#config), this.#config.timeoutMs, environment, signal);
    if (this.#config.tls === null) stream.abort();
    else endInOrder(stream, environment);
  }
}

/** How long a server has to end its side, too. */
const LINGER_MS = 1_000;

/** The last message of a handshake may still be on its way: who cuts the connection now makes the server see a handshake that failed, each time. */
function endInOrder(stream: L4Stream, { deadlines }: HttpEnvironment): void {
  const deadline = deadlines.after(LINGER_MS, () => stream.abort());
  const cut = (): void => stream.abort();
  stream.attach({ onData: cut, onDrain() {}, onEnd: cut, onClose: () => deadline.cancel() });
  stream.end();
}
