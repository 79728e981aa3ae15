/**
 * Names of options that we do not know, or know that Node cannot set: refused at once, each with the reason.
 *
 * A server that believes it has set a socket option and has not is worse than one that does not start.
 */

/** What other proxies can set on their sockets, and Node 24 cannot. The keys are in lower case without separators. */
const unsettable: ReadonlyMap<string, string> = new Map(
  Object.entries({
    fastopen: 'Node cannot set TCP_FASTOPEN',
    tcpfastopen: 'Node cannot set TCP_FASTOPEN',
    fastopenconnect: 'Node cannot set TCP_FASTOPEN_CONNECT',
    deferaccept: 'Node cannot set TCP_DEFER_ACCEPT',
    tcpdeferaccept: 'Node cannot set TCP_DEFER_ACCEPT',
    dscp: 'Node cannot set IP_TOS or IPV6_TCLASS',
    tos: 'Node cannot set IP_TOS',
    trafficclass: 'Node cannot set IPV6_TCLASS',
    tcpinfo: 'Node cannot read TCP_INFO',
    usertimeout: 'Node cannot set TCP_USER_TIMEOUT; keepAliveMs finds a peer that has vanished',
    usertimeoutms: 'Node cannot set TCP_USER_TIMEOUT; keepAliveMs finds a peer that has vanished',
    tcpusertimeout: 'Node cannot set TCP_USER_TIMEOUT; keepAliveMs finds a peer that has vanished',
    keepaliveinterval: 'Node sets the delay of the first probe only (keepAliveMs); the interval is the kernel’s',
    keepaliveintervalms: 'Node sets the delay of the first probe only (keepAliveMs); the interval is the kernel’s',
    keepalivecount: 'Node sets the delay of the first probe only (keepAliveMs); the count is the kernel’s',
    sendbuffersize: 'Node sets SO_SNDBUF on UDP sockets only; highWaterBytes bounds what we keep ourselves',
    sendbufferbytes: 'Node sets SO_SNDBUF on UDP sockets only; highWaterBytes bounds what we keep ourselves',
    sndbuf: 'Node sets SO_SNDBUF on UDP sockets only; highWaterBytes bounds what we keep ourselves',
    receivebuffersize: 'Node sets SO_RCVBUF on UDP sockets only',
    receivebufferbytes: 'Node sets SO_RCVBUF on UDP sockets only',
    recvbuffersize: 'Node sets SO_RCVBUF on UDP sockets only',
    rcvbuf: 'Node sets SO_RCVBUF on UDP sockets only',
    readbufferbytes: 'Node reads up to 65 536 bytes at a time, and that cannot be changed',
    originaldst: 'Node cannot read SO_ORIGINAL_DST; a proxy in front can tell it by a PROXY header',
    originaldestination: 'Node cannot read SO_ORIGINAL_DST; a proxy in front can tell it by a PROXY header',
    transparent: 'Node cannot set IP_TRANSPARENT',
    freebind: 'Node cannot set IP_FREEBIND',
    bindtodevice: 'Node cannot set SO_BINDTODEVICE',
    device: 'Node cannot set SO_BINDTODEVICE',
    mark: 'Node cannot set SO_MARK',
    congestion: 'Node cannot set TCP_CONGESTION',
    congestioncontrol: 'Node cannot set TCP_CONGESTION',
    quickack: 'Node cannot set TCP_QUICKACK',
    linger: 'Node cannot set SO_LINGER; abort with an error resets',
    receivetimestamps: 'Node cannot set SO_TIMESTAMPING',
    rxtimestamps: 'Node cannot set SO_TIMESTAMPING',
    timestamping: 'Node cannot set SO_TIMESTAMPING',
    mptcp: 'Node cannot open an MPTCP socket',
    reuseaddr: 'it is always set',
    reuseaddress: 'it is always set',
  }),
);

/**
 * Checks that all names of an object of options are known.
 *
 * @param what whose options: `listen`, `connect`
 * @param known has every name that is known
 * @throws {TypeError} that names the first unknown option, and says why it cannot be set where that is known
 */
export function checkOptionNames(what: string, options: object, known: Readonly<Record<string, unknown>>): void {
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(known, name)) continue;
    const why = unsettable.get(name.toLowerCase().replaceAll(/[-_]/g, ''));
    if (why !== undefined) throw new TypeError(`${what} cannot take the option ${name}: ${why}`);
    const shown = JSON.stringify(name.slice(0, 100));
    throw new TypeError(`${what} has no option ${shown}; it knows ${Object.keys(known).join(', ')}`);
  }
}
