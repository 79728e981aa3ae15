/** Giving up root's rights when the sockets are open. In one process only: those that it spawns never had them. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { ioError, textOf, type WireError } from '@ferrata/error';

/** Whom to become; null: stay. */
export interface Account {
  readonly user: string | number | null;
  readonly group: string | number | null;
}

/** What the machine knows of users, and what a process can do to itself. Replaced in tests. */
export interface ProcessRights {
  readonly uid: number;
  readonly gid: number;
  /** The numbers of a user, by name or number; null if the machine knows none. */
  userNumbers(user: string | number): { readonly uid: number; readonly gid: number } | null;
  /** The number of a group, by name or number; null if the machine knows none. */
  groupNumber(group: string | number): number | null;
  initgroups(user: string | number, extraGroup: string | number): void;
  setgroups(groups: readonly (string | number)[]): void;
  setgid(group: string | number): void;
  setuid(user: string | number): void;
}

/**
 * Becomes another user and group for good.
 *
 * The order matters: groups can only be changed while the process is still root, so the user comes last.
 *
 * @param rights null where there are no users (Windows)
 * @throws {WireError} `PRIVILEGES_NOT_SUPPORTED` where there are no users
 * @throws {WireError} `PRIVILEGES_NOT_DROPPED` if there is no such user or group, or the process may not become them; it must not serve then
 */
export function dropPrivileges(account: Account, rights: ProcessRights | null = rightsOfProcess()): void {
  const { user, group } = account;
  if (user === null && group === null) return;
  if (rights === null) {
    throw ioError('PRIVILEGES_NOT_SUPPORTED', 'user and group can only be set on Linux, macOS and the like', { fault: 'local' });
  }
  try {
    if (user === null) becomeGroup(group as string | number, rights);
    else becomeUser(user, group, rights);
  } catch (thrown) {
    throw notDropped(account, textOf(thrown), thrown);
  }
}

/**
 * What a look before a start can find out of `dropPrivileges`. As root it does it, as only then the kernel and the files say what they will say; as anybody else it
 * looks whether the machine knows the user.
 *
 * @throws {WireError} as `dropPrivileges`
 */
export function tryPrivileges(account: Account, rights: ProcessRights | null = rightsOfProcess()): void {
  if (rights === null || rights.uid === 0) return dropPrivileges(account, rights);
  try {
    if (account.user !== null) numbersOf(account.user, account.group, rights);
  } catch (thrown) {
    throw notDropped(account, textOf(thrown), thrown);
  }
}

function becomeGroup(group: string | number, rights: ProcessRights): void {
  // Under systemd's Group= or as it by hand: only root has groups to give up.
  if (rights.uid !== 0 && rights.gid === rights.groupNumber(group)) return;
  // Those of root would remain.
  rights.setgroups([]);
  rights.setgid(group);
}

function becomeUser(user: string | number, group: string | number | null, rights: ProcessRights): void {
  const { uid, primary, isKnown } = numbersOf(user, group, rights);
  // Under systemd's User= or as the same user by hand: there is nothing to give up, and no right to set groups.
  if (rights.uid === uid && uid !== 0 && (group === null || rights.gid === rights.groupNumber(group))) return;
  if (isKnown) rights.initgroups(user, primary);
  else rights.setgroups([primary]);
  rights.setgid(primary);
  rights.setuid(user);
  // A process that can become root again has dropped nothing.
  if (uid !== 0 && rights.uid === 0) throw new Error('the process is still root');
}

/** @throws {Error} if the machine knows too little of the user */
function numbersOf(
  user: string | number,
  group: string | number | null,
  rights: ProcessRights,
): { readonly uid: number; readonly primary: string | number; readonly isKnown: boolean } {
  const known = rights.userNumbers(user);
  if (known === null && typeof user === 'string') throw new Error(`there is no user ${user}`);
  const primary = group ?? known?.gid;
  if (primary === undefined) throw new Error(`the machine knows no user ${user}, so its group must be named, too`);
  return { uid: known?.uid ?? Number(user), primary, isKnown: known !== null };
}

function notDropped({ user, group }: Account, why: string, cause: unknown): WireError {
  const whom = [user === null ? [] : [`user ${user}`], group === null ? [] : [`group ${group}`]].flat().join(', ');
  return ioError('PRIVILEGES_NOT_DROPPED', `cannot become ${whom}: ${why}`, { cause, fault: 'local' });
}

function rightsOfProcess(): ProcessRights | null {
  // The types of Node do not know it.
  const { getuid, getgid, initgroups, setgroups, setgid, setuid } = process as typeof process & {
    initgroups?: ProcessRights['initgroups'];
  };
  if (!getuid || !getgid || !initgroups || !setgroups || !setgid || !setuid) return null;
  return {
    get uid() {
      return getuid.call(process);
    },
    get gid() {
      return getgid.call(process);
    },
    userNumbers,
    groupNumber,
    initgroups: (user, extraGroup) => initgroups.call(process, user, extraGroup),
    setgroups: (groups) => setgroups.call(process, groups),
    setgid: (group) => setgid.call(process, group),
    setuid: (user) => setuid.call(process, user),
  };
}

/** passwd(5) first, as it needs no other program; `id` knows users of directories (LDAP), too. */
function userNumbers(user: string | number): { readonly uid: number; readonly gid: number } | null {
  for (const line of linesOf('/etc/passwd')) {
    const [name, , uid, gid] = line.split(':');
    if (name === user || (typeof user === 'number' && uid === String(user))) return { uid: Number(uid), gid: Number(gid) };
  }
  const uid = askId('-u', user);
  const gid = askId('-g', user);
  return uid === null || gid === null ? null : { uid, gid };
}

/** Only group(5): it decides no more than whether there is anything to do, and the kernel has the last word. */
function groupNumber(group: string | number): number | null {
  if (typeof group === 'number') return group;
  for (const line of linesOf('/etc/group')) {
    const [name, , gid] = line.split(':');
    if (name === group) return Number(gid);
  }
  return null;
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch {
    return [];
  }
}

function askId(what: '-u' | '-g', user: string | number): number | null {
  const { status, stdout } = spawnSync('id', [what, '--', String(user)], {
    encoding: 'latin1',
    timeout: 5_000,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return status === 0 && /^\d+\n$/.test(stdout) ? Number(stdout) : null;
}
