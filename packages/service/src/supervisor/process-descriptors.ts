/** The descriptors of this process, as the kernel has them. */
import { closeSync, fstatSync } from 'node:fs';
import type { DescriptorTable } from './socket-allotment.ts';

/** See `DescriptorTable`. */
export const processDescriptors: DescriptorTable = {
  identityOf(fd) {
    try {
      const { dev, ino } = fstatSync(fd, { bigint: true });
      // Some systems have no number for a socket.
      return ino === 0n ? null : `${dev}:${ino}`;
    } catch {
      return null;
    }
  },

  close(fd) {
    try {
      closeSync(fd);
    } catch {
      // It is closed already: all that was wanted.
    }
  },
};
