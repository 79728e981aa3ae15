/** Tunnels of both versions of HTTP keep the stream contract, seen from either end (RFC 9110 §9.3.6, RFC 9113 §8.5). */
import { streamCompliance } from '@ferrata/testkit';
import { tunnelPair } from './tunnel-rig.ts';

streamCompliance('CONNECT over HTTP/1, the client’s end', () => tunnelPair('http1', 'client'));
streamCompliance('CONNECT over HTTP/1, the server’s end', () => tunnelPair('http1', 'server'));
streamCompliance('CONNECT over HTTP/2, the client’s end', () => tunnelPair('http2', 'client'));
streamCompliance('CONNECT over HTTP/2, the server’s end', () => tunnelPair('http2', 'server'));
