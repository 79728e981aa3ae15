/**
 * Peers that are told by a PROXY header who their client is: for each client a peer of its own, with a key of its own.
 *
 * Such a connection speaks for one client from its first byte on, so nobody else may have it: its key holds the very bytes of the header.
 */
import { ByteWriter, toHex } from '@ferrata/bytes';
import { createProxyHeader, writeProxyHeader } from '@ferrata/proxy-protocol';
import type { StreamInfo } from '@ferrata/stream';
import type { Peer } from './peer.ts';

/** Which form of PROXY header begins each connection. */
export type ProxyHeaderVersion = 'v1' | 'v2';

/** Clients of one peer that are remembered; the one told of longest ago is forgotten first, and made anew when it comes again. */
const MAX_CLIENTS = 1_024;

/** The peers of the clients of one peer. */
export class ClientPeers {
  readonly #version: ProxyHeaderVersion;
  readonly #derive: (header: Uint8Array, name: string) => Peer;
  /** By the header's bytes. */
  readonly #peers = new Map<string, Peer>();

  /** @param derive makes the same peer with that header; `name` tells the header from all others */
  constructor(version: ProxyHeaderVersion, derive: (header: Uint8Array, name: string) => Peer) {
    this.#version = version;
    this.#derive = derive;
  }

  get size(): number {
    return this.#peers.size;
  }

  /** @throws {TypeError} when an address is no IP address */
  of({ remoteAddress, localAddress }: StreamInfo): Peer {
    const header = headerBytes(this.#version, remoteAddress, localAddress);
    const name = toHex(header);
    const known = this.#peers.get(name);
    if (known !== undefined) return known;
    const peer = this.#derive(header, name);
    this.#peers.set(name, peer);
    if (this.#peers.size > MAX_CLIENTS) this.#peers.delete(this.#peers.keys().next().value as string);
    return peer;
  }
}

/** What is said where there is no client, as by a health check: `LOCAL` in version 2, `UNKNOWN` in version 1. */
export function headerWithoutClient(version: ProxyHeaderVersion): Uint8Array {
  const writer = new ByteWriter();
  const header = createProxyHeader({ source: null, destination: null, version: version === 'v1' ? 1 : 2 });
  writeProxyHeader(writer, version === 'v1' ? header : { ...header, command: 'local' });
  return writer.take();
}

function headerBytes(
  version: ProxyHeaderVersion,
  source: StreamInfo['remoteAddress'],
  destination: StreamInfo['localAddress'],
): Uint8Array {
  const writer = new ByteWriter();
  writeProxyHeader(writer, createProxyHeader({ source, destination, version: version === 'v1' ? 1 : 2 }));
  return writer.take();
}

/**
 * The peer for the requests of one client: the same, but with a PROXY header that tells of the client's connection, and with connections that nobody else uses.
 * A peer without `sendProxyHeader` is returned as it is.
 *
 * @param info of the client's connection: its addresses, or those that a trusted proxy in front has told of
 * @throws {TypeError} when an address of `info` is no IP address
 */
export function peerForClient(peer: Peer, info: StreamInfo): Peer {
  return peer.clients === null ? peer : peer.clients.of(info);
}
