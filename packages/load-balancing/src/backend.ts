/**
 * A backend: where requests can go, with what is known about it beforehand.
 *
 * What makes a backend the same one over time is its name: whoever comes back under the same name has kept its health, what it has under way and its `extension`,
 * even if its weight, zone or metadata have changed.
 */
import { checkWholeNumber } from '@ferrata/error';
import { type AddressLike, formatNetAddress, type NetAddress, toNetAddress } from '@ferrata/net';
import type { L4Stream } from '@ferrata/stream';

/** A backend as it is given. Of whatever is not there the default holds. */
export interface BackendInit<Extension = unknown> {
  /** `host:port`, `[::1]:80`, `unix:/path`, `{ host, port }` … */
  readonly address: AddressLike;
  /** What it goes by, unique in a set. Default: the address, as nginx writes it: `192.0.2.1:80`, `[::1]:80`, `unix:/path`. Consistent hashing depends on it. */
  readonly name?: string;
  /** Its share in relation to the others': a whole number, 0 to 65 535. Default 1. 0: it gets nothing new, and keeps what it has. */
  readonly weight?: number;
  /** 0 to 127. Default 0, the first choice. Those of a higher number get requests as far as those of lower ones are not ready. */
  readonly priority?: number;
  /** Where it stands. Default: nowhere in particular. */
  readonly zone?: string;
  /** Whatever else is known of it, for subsets and filters. Default: nothing. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** False: it is known, and gets nothing. Default true. */
  readonly isEnabled?: boolean;
  /** Where health checks knock, if not at the port of the address. */
  readonly healthPort?: number;
  /** A value of the program's own, of its own type: it is no part of what the backend is. Where it is absent, `extend` of the balancer makes it. */
  readonly extension?: Extension;
  /** Makes a stream to it, for health checks; `address` is its name then. Default: a socket. */
  readonly connect?: OpenBackend;
}

/** Makes a stream to a virtual backend: it gives up when `signal` is aborted. */
export type OpenBackend = (backend: Backend, signal: AbortSignal) => Promise<L4Stream>;

/** What is known of a backend as plain data, which may go from thread to thread. */
export type PlainBackend = Omit<BackendInit<never>, 'extension' | 'connect' | 'address'> & { readonly address: string };

/** A backend in a set. Frozen. */
export interface Backend<Extension = unknown> {
  readonly name: string;
  readonly address: NetAddress;
  readonly weight: number;
  readonly priority: number;
  /** Empty: nowhere in particular. */
  readonly zone: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly isEnabled: boolean;
  /** Null: that of the address. */
  readonly healthPort: number | null;
  readonly extension: Extension;
  readonly connect: OpenBackend | null;
  /** Its place in what the threads share; the same as long as the backend is known. @internal */
  readonly slot: number;
}

/** A backend that was looked at, but has neither place nor extension yet. */
export type BackendFacts = Omit<Backend, 'slot' | 'extension'> & { readonly given: unknown };

/** Names stand in lines: of logs, metrics and what the threads share. */
const controls = /[\u0000-\u001f\u007f]/;

const NO_METADATA: Readonly<Record<string, string>> = Object.freeze({});

/**
 * Looks at a backend as it was given.
 *
 * @throws {TypeError} when an address cannot be read, or a member is of the wrong kind
 * @throws {RangeError} when a number is out of its range
 */
export function checkBackend(init: BackendInit): BackendFacts {
  if (typeof init !== 'object' || init === null) throw new TypeError(`a backend is an object with an address, not ${typeof init}`);
  const address = toNetAddress(init.address);
  const { name = nameOf(address), weight = 1, priority = 0, zone = '', metadata, isEnabled = true, healthPort, connect } = init;
  if (typeof name !== 'string' || name === '' || controls.test(name))
    throw new TypeError(`the name of a backend must be text that is not empty, without control characters: ${JSON.stringify(name)}`);
  if (typeof zone !== 'string' || controls.test(zone)) throw new TypeError(`zone of ${name} must be text without control characters`);
  if (typeof isEnabled !== 'boolean') throw new TypeError(`isEnabled of ${name} must be true or false`);
  if (connect !== undefined && typeof connect !== 'function') throw new TypeError(`connect of ${name} must be a function`);
  return {
    name,
    address,
    weight: checkWholeNumber(`weight of ${name}`, weight, { min: 0, max: 65_535 }),
    priority: checkWholeNumber(`priority of ${name}`, priority, { min: 0, max: 127 }),
    zone,
    metadata: metadata === undefined ? NO_METADATA : checkMetadata(name, metadata),
    isEnabled,
    healthPort: healthPort === undefined ? null : checkWholeNumber(`healthPort of ${name}`, healthPort, { min: 1, max: 65_535 }),
    connect: connect ?? null,
    given: init.extension,
  };
}

/** An address as nginx writes it in a `server` line. */
export function nameOf(address: NetAddress): string {
  const text = formatNetAddress(address);
  return text.startsWith('tcp://') ? text.slice('tcp://'.length) : text;
}

/** What may go from thread to thread. @throws {TypeError} for a virtual backend: a function cannot */
export function plainBackend(init: BackendInit): PlainBackend {
  if (init.connect !== undefined) throw new TypeError('a virtual backend cannot go from thread to thread: each thread must be given it');
  const { extension: _, connect: __, address, ...rest } = init;
  return { ...rest, address: formatNetAddress(toNetAddress(address)) };
}

function checkMetadata(name: string, metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (typeof metadata !== 'object' || metadata === null) throw new TypeError(`metadata of ${name} must be an object`);
  for (const [key, value] of Object.entries(metadata))
    if (typeof value !== 'string') throw new TypeError(`metadata ${key} of ${name} must be text`);
  return Object.freeze({ ...metadata });
}
