/** @ferrata/net: Node's sockets as L4 streams: TCP and Unix listeners and connectors, and bindings to Node's and the web's streams. */
export { formatNetAddress, parseAddress, toNetAddress, type AddressLike, type NetAddress } from './address.ts';
export { ConnectionCap } from './connection-cap.ts';
export { listen, type Listener } from './listener.ts';
export { type ListenOptions } from './listen-options.ts';
export { connect, connectWith, type ConnectSink, type PendingConnect } from './connect.ts';
export { type ConnectOptions } from './connect-options.ts';
export { fromDuplex } from './from-duplex.ts';
export { toDuplex } from './to-duplex.ts';
export { toWeb, type WebStreams } from './to-web.ts';
