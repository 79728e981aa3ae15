/**
 * A server with everything that a server has: services on threads, a configuration that can be reloaded, and upgrades that lose no connection.
 *
 * ```sh
 * node examples/echo-server/server.ts examples/echo-server/echo.json --threads 2 --admin 127.0.0.1:9000
 * kill -HUP  PID     # reads echo.json again
 * kill -USR2 PID     # starts the program anew, from what is on disk now, behind the same sockets
 * kill -TERM PID     # ends when what is under way has ended
 * ```
 * This module runs several times: in the process that was started, in the one that serves, and in each of its worker threads. Everything above `run` is building,
 * and nothing works before `run`. The configuration is described in `configuration.ts`, the answers in `echo-application.ts`.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '@ferrata/clock';
import { Rate } from '@ferrata/limits';
import { BackgroundService, commandLineOptions, HttpService, type ListenAddress, Server, TcpService, UdpService } from '@ferrata/service';
import { formatAddress } from '@ferrata/stream';
import { type EchoConfig, readConfiguration } from './configuration.ts';
import { EchoApplication, type RequestCounter } from './echo-application.ts';
import { echoBytes, echoDatagrams } from './echo-bytes.ts';

const REPORT_EVERY_MS = 10_000;

const [first = '', ...others] = process.argv.slice(2);
const [configFile, options] = first.startsWith('-') ? ['', [first, ...others]] : [first, others];

const server = new Server(
  commandLineOptions<EchoConfig>(
    {
      name: 'echo',
      config: { load: () => readConfiguration(configFile) },
      onReady(listeners) {
        for (const { address, listen, service } of listeners) console.log(`ready ${formatAddress(address)} ${listen.label ?? service}`);
      },
    },
    options,
  ),
);

// One count for all workers: in memory that they share, so nobody has to be asked.
const rate = server.shared('requests', {
  create: () => new Rate({ intervalMs: 1_000, clock: systemClock }).memory,
  open: (memory) => new Rate({ memory, clock: systemClock }),
});
const counter: RequestCounter = {
  count: () => rate.observe('all'),
  perSecond: () => rate.rate('all'),
};

server.addService(
  new HttpService<EchoConfig>({
    name: 'http',
    listen: ({ http, https }) => [...http.map(plain), ...https.map((address) => ({ address, label: 'https' }))],
    // The same object for as long as the configuration is: its files are read once, and again when another one is in force.
    accept: ({ label }, context) =>
      label === 'https' ? { tls: { certificateFor: () => context.snapshot.config.certificate, alpn: ['h2', 'http/1.1'] } } : {},
    application: (context, snapshot) => new EchoApplication(context.worker, snapshot, counter),
  }),
);
server.addService(new TcpService<EchoConfig>({ name: 'tcp', listen: ({ tcp }) => tcp.map(plain), handle: echoBytes }));
server.addService(
  new UdpService<EchoConfig>({
    name: 'udp',
    listen: ({ udp }) => udp.map((address) => ({ address, transport: 'udp' })),
    sink: (_context, _snapshot, endpoint) => echoDatagrams(endpoint),
  }),
);
server.addService(
  new BackgroundService<EchoConfig>({
    name: 'report',
    placement: 'main',
    async run(context) {
      const { stopping } = context;
      while (!stopping.aborted) {
        await delay(REPORT_EVERY_MS, undefined, { signal: stopping }).catch(() => undefined);
        if (counter.perSecond() > 0) context.notify({ severity: 'info', text: `${counter.perSecond().toFixed(0)} requests a second` });
      }
    },
  }),
);

process.exitCode = await server.run(import.meta);

function plain(address: string): ListenAddress {
  return { address };
}
