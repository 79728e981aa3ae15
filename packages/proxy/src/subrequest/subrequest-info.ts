/** What is known about the client of a subrequest: that of the request on whose behalf it is made. */
import type { StreamAddress, StreamInfo, StreamTiming } from '@ferrata/stream';

/**
 * The client's addresses, certificate and PROXY header, so that whoever checks them treats the subrequest as it treats the request; `below` is the client's own, and by `kind` it is
 * told apart. What is hung on it as `extension` stays with the subrequest.
 */
export class SubrequestInfo implements StreamInfo {
  readonly kind = 'subrequest';
  readonly timing: StreamTiming;
  readonly below: StreamInfo;
  extension: unknown;

  constructor(client: StreamInfo, now: number) {
    this.timing = { startedAt: now, establishedAt: now };
    this.below = client;
    this.extension = client.extension;
  }

  get localAddress(): StreamAddress {
    return this.below.localAddress;
  }
  get remoteAddress(): StreamAddress {
    return this.below.remoteAddress;
  }
  /** Asked for when it is wanted: some make it then. */
  get tls(): StreamInfo['tls'] {
    return this.below.tls;
  }
  get proxyHeader(): NonNullable<StreamInfo['proxyHeader']> | null {
    return this.below.proxyHeader ?? null;
  }
}
