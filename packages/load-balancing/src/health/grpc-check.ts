/**
 * A check by the gRPC health checking protocol (grpc.health.v1.Health/Check), over HTTP/2.
 *
 * SERVING alone is well. A server that does not know the protocol (UNIMPLEMENTED), or not the service (NOT_FOUND), is told apart from one that is not well:
 * somebody has asked the wrong question.
 */
import { protocolError, type WireError } from '@ferrata/error';
import { requestHead } from '@ferrata/headers';
import type { Backend } from '../backend.ts';
import { placeOf } from '../internal/dial.ts';
import type { HttpAnswer, HttpTarget } from '../internal/http-client.ts';
import { decodeHealthResponse, encodeHealthRequest, ServingStatus } from './grpc-message.ts';
import type { HealthCheck, HealthCheckContext } from './health-check.ts';
import { ProbeClients, type ProbeConfig, type ProbeOptions, probeTarget, resolveProbeOptions } from './probe.ts';

/** Options of `grpcCheck`. */
export interface GrpcCheckOptions extends ProbeOptions {
  /** The service to ask after. Default empty: the server as a whole. */
  readonly service?: string;
  /** The authority to ask for. Default: `servername`, else the host and port of the backend. */
  readonly host?: string;
  /** Keeps the connection for the next check. Default false. */
  readonly keepConnection?: boolean;
}

/**
 * Asks the server, or one service of it, whether it serves.
 *
 * @throws {RangeError} when a number is out of range @throws {TypeError} when the service or host is no text, or TLS cannot work as it is told to
 */
export function grpcCheck(options: GrpcCheckOptions = {}): HealthCheck {
  return new GrpcCheck(options);
}

const PATH = '/grpc.health.v1.Health/Check';
/** The message has two bytes; errors have details in trailers. */
const MAX_BODY_BYTES = 4_096;
const MAX_SERVICE_CHARACTERS = 1_024;
const MAX_MESSAGE_CHARACTERS = 200;
const NOT_FOUND = 5;
const UNIMPLEMENTED = 12;

class GrpcCheck implements HealthCheck {
  readonly name = 'grpc';
  readonly #probe: ProbeConfig;
  readonly #service: string;
  readonly #question: Uint8Array;
  readonly #headers: readonly (readonly [string, string])[];
  readonly #clients: ProbeClients;

  constructor(options: GrpcCheckOptions) {
    const { service = '', host } = options;
    if (typeof service !== 'string' || service.length > MAX_SERVICE_CHARACTERS)
      throw new TypeError(`service must be text of at most ${MAX_SERVICE_CHARACTERS} characters`);
    this.#probe = resolveProbeOptions(options);
    this.#service = service;
    this.#question = encodeHealthRequest(service);
    this.#headers = [
      ...(host === undefined ? [] : [['Host', host] as const]),
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
      ['grpc-timeout', timeoutField(this.#probe.timeoutMs)],
    ];
    requestHead('POST', PATH, { headers: this.#headers });
    this.#clients = new ProbeClients(options.keepConnection === true);
  }

  async check(backend: Backend, { environment, signal }: HealthCheckContext): Promise<void> {
    const target: HttpTarget = { ...probeTarget(backend, this.#probe), protocol: 'http2' };
    const answer = await this.#clients.of(environment).ask(target, {
      method: 'POST',
      path: PATH,
      headers: this.#headers,
      body: this.#question,
      timeoutMs: this.#probe.timeoutMs,
      maxBodyBytes: MAX_BODY_BYTES,
      signal,
    });
    const error = this.#judge(answer, placeOf(target));
    if (error !== null) throw error;
  }

  close(): void {
    this.#clients.closeKept();
  }

  #judge(answer: HttpAnswer, context: string): WireError | null {
    const { status, headers, trailers, body } = answer;
    // An answer without a message has its trailers in its head.
    const fields = trailers?.has('grpc-status') === true ? trailers : headers;
    const grpcStatus = fields.get('grpc-status');
    if (grpcStatus === undefined) {
      const reason = status === 200 ? 'HEALTH_GRPC_MALFORMED' : 'HEALTH_STATUS_WRONG';
      return failed(reason, `it answers ${status}, without a status of gRPC`, context);
    }
    if (!/^(?:0|[1-9]\d{0,9})$/.test(grpcStatus)) return failed('HEALTH_GRPC_MALFORMED', 'its status of gRPC is no number', context);
    if (grpcStatus !== '0') return this.#refused(Number(grpcStatus), messageOf(fields.get('grpc-message')), context);
    const serving = decodeHealthResponse(body);
    if (typeof serving === 'string') return failed('HEALTH_GRPC_MALFORMED', serving, context);
    if (serving === ServingStatus.serving) return null;
    return failed('HEALTH_GRPC_NOT_SERVING', `it is ${STATUS_NAMES[serving] ?? `in state ${serving}`}`, context);
  }

  #refused(code: number, message: string, context: string): WireError {
    switch (code) {
      case UNIMPLEMENTED:
        return failed('HEALTH_GRPC_UNIMPLEMENTED', 'it does not know the health checking protocol of gRPC', context);
      case NOT_FOUND:
        return failed('HEALTH_GRPC_SERVICE_UNKNOWN', `it knows nothing of the service ${JSON.stringify(this.#service)}`, context);
      default:
        return failed('HEALTH_GRPC_STATUS', `it answers with status ${code} of gRPC${message === '' ? '' : `: ${message}`}`, context);
    }
  }
}

const STATUS_NAMES: readonly string[] = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

function failed(reason: string, message: string, context: string): WireError {
  return protocolError(reason, message, { source: 'upstream', wire: { status: 502 }, context });
}

/** At most eight digits and a unit. */
function timeoutField(timeoutMs: number): string {
  return `${timeoutMs}m`;
}

/** `grpc-message` is percent-encoded, and of any length. What it says gets into logs, so its line ends and other controls become blanks. */
function messageOf(field: string | undefined): string {
  const text = (field ?? '').slice(0, MAX_MESSAGE_CHARACTERS);
  try {
    return decodeURIComponent(text).replace(/\p{Cc}+/gu, ' ');
  } catch {
    return text;
  }
}
