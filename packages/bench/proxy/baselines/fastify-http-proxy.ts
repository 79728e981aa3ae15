/** Baseline: @fastify/http-proxy on fastify, with its own defaults and a pool as large as the others'. */

import type { AddressInfo } from 'node:net';
import httpProxy from '@fastify/http-proxy';
import { fastify } from 'fastify';
import { announce, originOfCommandLine } from './serve.ts';

const server = fastify({ logger: false, keepAliveTimeout: 75_000 });
await server.register(httpProxy, { upstream: originOfCommandLine().origin, undici: { connections: 256, pipelining: 1 } });
await server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 });
announce((server.server.address() as AddressInfo).port);
