/** The environment of this process. Read here alone, so that it is known what of it matters: the marks of the processes of a server, and what systemd says. */

/** Variables by name; what is not set is absent. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** All variables as they are now. */
export function currentEnvironment(): Environment {
  // oxlint-disable-next-line no-restricted-properties -- this file is the one place
  return { ...process.env };
}

/** Takes variables out of the environment, so that no process that is started from now on inherits them. @returns those that were set */
export function takeVariables(names: readonly string[]): Environment {
  const all = currentEnvironment();
  const taken = names.filter((name) => all[name] !== undefined);
  // oxlint-disable-next-line no-restricted-properties -- this file is the one place
  for (const name of taken) Reflect.deleteProperty(process.env, name);
  return Object.fromEntries(taken.map((name) => [name, all[name]]));
}
