/** @ferrata/net: Node's sockets as L4 streams: TCP and Unix listeners and connectors, and bindings to Node's and the web's streams. */
export { type AddressLike, formatNetAddress, type NetAddress, parseAddress, toNetAddress } from './address.ts';
export { type ConnectSink, connect, connectWith, type PendingConnect } from './connect.ts';
export { type ConnectOptions } from './connect-options.ts';
export { ConnectionCap } from './connection-cap.ts';
export { fromDuplex } from './from-duplex.ts';
export { type ListenOptions } from './listen-options.ts';
export { type Listener, listen } from './listener.ts';
export { toDuplex } from './to-duplex.ts';
export { toWeb, type WebStreams } from './to-web.ts';
