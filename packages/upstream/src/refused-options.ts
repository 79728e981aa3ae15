/**
 * Options that other proxies have for their peers, and that a peer here has not: refused by name, each with the reason. A program that believes that it has set
 * one, and has not, is worse than one that does not start.
 */

/** The keys are in lower case, without separators. */
const REFUSED: ReadonlyMap<string, string> = new Map(
  Object.entries({
    // What Node cannot do.
    portrange: 'Node cannot set IP_LOCAL_PORT_RANGE',
    localportrange: 'Node cannot set IP_LOCAL_PORT_RANGE',
    localport: 'connections in any number cannot come from one port; the kernel chooses it',
    bindfallback: 'there is no port range to fall back from: Node cannot set IP_LOCAL_PORT_RANGE',
    fallback: 'there is no port range to fall back from: Node cannot set IP_LOCAL_PORT_RANGE',
    dscp: 'Node cannot set IP_TOS or IPV6_TCLASS',
    tos: 'Node cannot set IP_TOS',
    tcpfastopen: 'Node cannot set TCP_FASTOPEN_CONNECT',
    fastopen: 'Node cannot set TCP_FASTOPEN_CONNECT',
    tcprecvbuf: 'Node cannot set SO_RCVBUF on TCP sockets',
    recvbuf: 'Node cannot set SO_RCVBUF on TCP sockets',
    rcvbuf: 'Node cannot set SO_RCVBUF on TCP sockets',
    sndbuf: 'Node cannot set SO_SNDBUF on TCP sockets',
    usertimeout: 'Node cannot set TCP_USER_TIMEOUT; keepAliveMs finds a peer that has vanished',
    usertimeoutms: 'Node cannot set TCP_USER_TIMEOUT; keepAliveMs finds a peer that has vanished',
    keepaliveinterval: 'Node sets the silence before the first probe only (keepAliveMs); the interval is the kernel’s',
    keepaliveintervalms: 'Node sets the silence before the first probe only (keepAliveMs); the interval is the kernel’s',
    keepalivecount: 'Node sets the silence before the first probe only (keepAliveMs); the count is the kernel’s',
    upstreamtcpsocktweakhook: 'Node gives nobody the socket before it connects; `connect` makes a stream in a way of your own',
    tcpsocktweakhook: 'Node gives nobody the socket before it connects; `connect` makes a stream in a way of your own',
    sockettweak: 'Node gives nobody the socket before it connects; `connect` makes a stream in a way of your own',
    secondkeyshare:
      'OpenSSL chooses the key shares of a ClientHello, and Node has no way to tell it; `tls.curves` says which groups are offered',
    psk: 'a pre-shared key shows no certificate, and who the peer is, and with whom a connection may be shared, is decided by certificates here',
    pskcallback:
      'a pre-shared key shows no certificate, and who the peer is, and with whom a connection may be shared, is decided by certificates here',
    s2nsecuritypolicy: 'it is a setting of s2n, and TLS here is OpenSSL; say minVersion, ciphers and curves of tls',
    maxblindingdelay: 'it is a setting of s2n, and TLS here is OpenSSL',
    usesystemcerts: 'it is a setting of s2n; say the authorities of tls',
    offloadthreadpool: 'in Node the handshakes of OpenSSL run on the thread of their sockets',
    // What is said elsewhere.
    bindto: 'say localAddress or localAddresses; Node cannot set a port range',
    scheme: 'say tls and protocol, or make the peer by peerFromUrl',
    minhttpversion: 'say protocol',
    maxhttpversion: 'say protocol',
    httpversion: 'say protocol',
    sni: 'say it by tls',
    verifycert: 'say it by tls',
    verifyhostname: 'say it by tls',
    alternativecn: 'say it by tls',
    ca: 'say it by tls',
    curves: 'say it by tls',
    ciphers: 'say it by tls',
    clientcertkey: 'say it by tls',
    alpn: 'it follows from protocol; an alpn of your own is an option of tls',
    readtimeout: 'say connection.readTimeoutMs, and http2.connection for HTTP/2',
    readtimeoutms: 'say connection.readTimeoutMs, and http2.connection for HTTP/2',
    writetimeout: 'say writeTimeoutMs, and http2.writeTimeoutMs for HTTP/2',
    idletimeout: 'say idleTimeoutMs',
    connectiontimeout: 'say connectTimeoutMs',
    totalconnectiontimeout: 'say totalTimeoutMs',
    tcpkeepalive: 'say keepAliveMs',
    maxh2streams: 'say maxStreamsPerConnection',
    h2pinginterval: 'say http2.connection.pingIntervalMs and pingTimeoutMs',
    pingintervalms: 'say http2.connection.pingIntervalMs',
    pingtimeoutms: 'say http2.connection.pingTimeoutMs',
    h2streamwindowsize: 'say the windows of http2.connection',
    h2connectionwindowsize: 'say the windows of http2.connection',
    allowh1responseinvalidcontentlength:
      'a length that nobody can read leaves open where the next response begins; it is always refused (RFC 9112 §6.3)',
    customl4: 'say connect',
    proxy: 'say via: { proxy }',
    viaproxy: 'say via: { proxy }',
    extraproxyheaders: 'say via: { headers }',
    proxydigestuserdatahook: 'say via: { readResponse }',
    upstreamtlshandshakecompletehook: 'say handshakeComplete of tls',
    groupkey: 'say group',
    resolver: 'a resolver belongs to the connector, whose peers share what it remembers',
    lookup: 'a resolver belongs to the connector, whose peers share what it remembers',
  }),
);

/** @throws {TypeError} that says why, where it is known, and else that there is no such option */
export function refuseOption(name: string): never {
  const shown = JSON.stringify(name.slice(0, 100));
  const why = REFUSED.get(name.toLowerCase().replaceAll(/[-_]/g, ''));
  throw new TypeError(why === undefined ? `a peer has no option ${shown}` : `a peer cannot take the option ${shown}: ${why}`);
}
